"""Quantities are exact, and say their unit."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmspec.diagnostics import MmspecError, Span
from mmspec.expressions.quantity import (
    Quantity,
    parse,
    parse_duration,
    parse_rate,
    write_duration,
)


def test_rates_in_hertz() -> None:
    assert parse_rate("100 Hz") == 100
    assert parse_rate("44.1kHz") == 44100
    assert parse_rate("0.1 Hz") == Fraction(1, 10)
    assert parse_rate("30000/1001 Hz") == Fraction(30000, 1001)


def test_durations_in_seconds() -> None:
    assert parse_duration("500 ms") == Fraction(1, 2)
    assert parse_duration("20 us") == Fraction(1, 50_000)
    assert parse_duration("1.5 min") == 90
    assert parse_duration("0 s") == 0
    assert parse_duration("1/3 s") == Fraction(1, 3)


def test_a_quantity_keeps_its_unit() -> None:
    assert parse("2.50 kHz") == Quantity(Fraction(5, 2), "kHz")
    assert str(parse("2.50 kHz")) == "2.5 kHz"


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        *[("100", "write `100 Hz`"), ("100 hz", "did you mean `Hz`?"), ("0 Hz", "")],
        *[("100 ms", "units here: Hz, kHz"), ("Hz", ""), ("-1 Hz", ""), ("1e99 Hz", "")],
        *[("1 Hz 2", "write one number"), ("1_0 Hz", "write 10"), ("1/0 Hz", ""), ("", "")],
        *[("1 µs", "write us"), ("nan Hz", ""), ("inf Hz", ""), ("1 Hz; import os", "")],
    ],
)
def test_refused_rates(text: str, advice: str) -> None:
    with pytest.raises(MmspecError) as caught:
        parse_rate(text, Span("s.yaml", 1, 1, 1, 1 + len(text)))
    (found,) = caught.value.diagnostics
    assert found.code in ("MM200", "MM210")
    assert advice in found.help


def test_a_duration_without_unit_says_what_to_write() -> None:
    with pytest.raises(MmspecError, match=r"`500` has no unit; write `500 ms`"):
        parse_duration("500")


@given(st.fractions(min_value=0, max_value=10**6, max_denominator=10**7))
def test_durations_round_trip(seconds: Fraction) -> None:
    assert parse_duration(write_duration(seconds)) == seconds


@given(st.text(max_size=12) | st.text(alphabet="1/.e+- Hzkmsuin_", max_size=12))
def test_any_text_is_a_quantity_or_refused(text: str) -> None:
    with suppress(MmspecError):
        assert parse(text).value >= 0
