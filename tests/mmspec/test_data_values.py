"""Values are kept exactly or refused: whole numbers, names, ids."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from data_case import source, spec

from mmspec.compiler import ir
from mmspec.compiler.parts.modality import TableEmbedding
from mmspec.data import dataset, numerals
from mmspec.data.encode import frames, names, table, target, tokens
from mmspec.diagnostics import MmspecError

DATE = 1767225601
"""A second of 2026, of which float32 makes the one before."""


def codes(error: pytest.ExceptionInfo[MmspecError]) -> list[str]:
    """The codes raised."""
    return [each.code for each in error.value.diagnostics]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        (" -12 ", -12),
        ("+7", 7),
        ("1.0", 1.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("-2.5E-1", -0.25),
        ("9007199254740993", 9007199254740993),
        ("inf", float("inf")),
        ("1_000", None),
        ("1,5", None),
        ("0x10", None),
        ("\u0661", None),
        ("1 2", None),
        ("", None),
        ("e5", None),
        (".", None),
        ("nano", None),
    ],
)
def test_what_text_is_a_number(text: str, expected: float | None) -> None:
    found = numerals.number(text)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1", 1),
        ("1.0", 1),
        (" 1.00 ", 1),
        ("1e0", 1),
        (1.0, 1),
        (np.float32(2), 2),
        (np.int64(3), 3),
        (True, None),
        (np.False_, None),
        ("true", None),
        ("1.5", None),
        (1.5, None),
        ("nan", None),
        (float("nan"), None),
        (float("inf"), None),
        ("1_000", None),
        ("one", None),
        ([1], None),
    ],
)
def test_what_is_a_whole_number(value: Any, expected: int | None) -> None:
    assert numerals.whole(value) == expected


def number(value: Any) -> Any:
    """A value as the only number of a table."""
    kind = spec(other={"facts": "{kind: table, columns: {age: number}}"}).modalities["facts"]
    assert kind.kind == "table"
    return table.encode(kind, {}, {"age": value})


def series(value: Any) -> Any:
    """A value as a frame of one feature."""
    kind = spec(other={"s": "{kind: series, features: 1, rate: 9 Hz, length: {max: 9}}"})
    found = kind.modalities["s"]
    assert found.kind == "series"
    return frames.encode(found, np.array([[value]]))


ENCODERS: dict[str, Callable[[Any], Any]] = {
    "table": number,
    "series": series,
    "target": partial(target.regressed, 1),
}
LONE: list[Callable[[Any], Any]] = [number, partial(target.regressed, 1)]
"""What takes a single number, as text too."""


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize(
    "value", [DATE, float(DATE), -DATE, 2**24 + 1, 2**53 - 1, 2**63 - 1, np.uint64(2**64 - 1)]
)
def test_a_whole_number_that_would_change_is_refused(encoder: str, value: Any) -> None:
    with pytest.raises(MmspecError) as error:
        ENCODERS[encoder](value)
    assert codes(error) == ["MM505"]
    assert f"{int(value)}" in str(error.value)
    assert "would become" in str(error.value)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize(
    "value", [2**24, 2**24 + 2, -(2**63), 1767225600, 0.1, 1.5e20, np.float16(3.0), np.uint8(255)]
)
def test_what_float32_holds_is_kept(encoder: str, value: Any) -> None:
    found = ENCODERS[encoder](value)
    assert found.dtype == np.float32
    assert float(found.squeeze()) == float(np.float32(value))


@pytest.mark.parametrize("value", [str(DATE), f"{DATE}.0", f" {DATE}"])
def test_text_is_held_to_the_same(value: str) -> None:
    for encode in LONE:
        with pytest.raises(MmspecError) as error:
            encode(value)
        assert codes(error) == ["MM505"]


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("value", [1e39, -1e39, np.nan, np.inf])
def test_what_float32_has_no_number_for_is_not_finite(encoder: str, value: float) -> None:
    with pytest.raises(MmspecError) as error:
        ENCODERS[encoder](value)
    assert codes(error) == ["MM506"]


@pytest.mark.parametrize("encode", LONE)
@pytest.mark.parametrize("value", [10**400, -(10**400), [10**400]])
def test_a_number_of_400_digits_is_refused(encode: Callable[[Any], Any], value: Any) -> None:
    with pytest.raises(MmspecError) as error:
        encode(value)
    assert codes(error) == ["MM505"]


@pytest.mark.parametrize("value", ["1_000", "0x10", "\u0661\u0662"])
def test_what_python_alone_reads_as_a_number_is_text(value: str) -> None:
    for encode in LONE:
        with pytest.raises(MmspecError) as error:
            encode(value)
        assert codes(error) == ["MM505"]


WIDE = {"facts": "{kind: table, columns: {age: number, user: {categories: 20000000}}}"}


def test_a_high_code_reaches_the_model_as_it_is() -> None:
    rows = [{"age": 2.5, "user": 2**24 + 1}, {"age": 3, "user": "16777219"}]
    encoded = dataset.encode(source(facts=rows, label=[0, 1]), spec(other=WIDE))
    column = encoded.modalities["facts"]
    values, _ = column.take(np.array([0, 1]), np.array([True, True]))
    assert values.tolist() == [[2.5, 2**24 + 1], [3, 2**24 + 3]]


def test_a_model_reads_the_row_of_a_high_code() -> None:
    part = TableEmbedding((0, 2**24 + 8), 1, ir.Sum(ir.Position("none")), True)
    with torch.no_grad():
        part.categories.weight.zero_()
        part.categories.weight[2**24 + 1] = 7
    found = part(torch.tensor([[2.0, 2**24 + 1]], dtype=torch.float64), {})
    assert found.dtype == torch.float32
    assert found[0, 1, 0].item() == 7
    narrow = spec(other={"facts": "{kind: table, columns: {user: {categories: 16777216}}}"})
    kind = narrow.modalities["facts"]
    assert kind.kind == "table"
    assert table.dtype(kind) is np.float32


@pytest.mark.parametrize(
    ("training", "value", "expected"),
    [
        (["a", "b "], " b", 1),
        (["caf\u00e9", "tea"], "cafe\u0301", 0),
        (["cafe\u0301", "tea"], "caf\u00e9", 0),
        (["1_000", "1"], "1_000", 1),
        ([True, "x"], "true", 0),
        ([0.5, "x"], "0.5", 0),
    ],
)
def test_names_are_compared_trimmed_and_in_normal_form(
    training: list[Any], value: str, expected: int
) -> None:
    assert names.learn(training, [*training, value], 3).id(value) == expected


def test_ids_are_whole_numbers_however_they_are_written() -> None:
    given: list[Any] = ["1.0", 1, 1.0, " 1", "1e0", np.float64(1)]
    known = names.learn(given, given, 3)
    assert known.names is None
    assert [known.id(each) for each in given] == [1] * 6


@pytest.mark.parametrize("value", [[1], {"a": 1}, float("nan"), float("inf"), "a\ud800"])
def test_what_can_name_nothing_is_refused(value: Any) -> None:
    for training in (["a", value], [1, value]):
        known = names.learn(training, training, 3)
        with pytest.raises(MmspecError) as error:
            known.id(value)
        assert codes(error) == ["MM505"]


def test_half_of_a_character_is_refused() -> None:
    with pytest.raises(MmspecError, match="half of a character") as error:
        tokens.encode(spec("text").modalities["text"], "a\udfff")  # type: ignore[arg-type]
    assert codes(error) == ["MM505"]


def test_a_label_of_blanks_is_none() -> None:
    encoded = dataset.encode(
        source(text=["a", "b", "c", "d"], label=["x", "y ", "  ", "x"]), spec("text")
    )
    assert encoded.targets["label"].tolist() == [0, 1, target.IGNORED, 0]
    assert encoded.classes["label"] == ("x", "y")


def test_a_category_of_blanks_is_missing() -> None:
    rows = [{"age": 1, "side": "left"}, {"age": 1, "side": " "}]
    with pytest.raises(MmspecError) as error:
        dataset.encode(source(facts=rows, label=["x", "x"]), spec("facts"))
    assert codes(error) == ["MM504"]
    assert "made 1, column `facts`" in str(error.value)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ([1.0, 2.0], None),
        ("a\ud800", "MM505"),
        ([1.5], "MM505"),
        ([float("nan")], "MM506"),
        (5, "MM505"),
        ([7.0], "MM507"),
    ],
)
def test_ids_of_tokens_are_whole_numbers_too(raw: Any, expected: str | None) -> None:
    small = spec(other={"text": "{kind: tokens, vocab: 7, length: {max: 5}}"}).modalities["text"]
    assert small.kind == "tokens"
    if expected is None:
        found = tokens.encode(small, raw)
        assert found.dtype == np.int64 and found.tolist() == raw
        return
    with pytest.raises(MmspecError) as error:
        tokens.encode(small, raw)
    assert codes(error) == [expected]


def test_a_single_number_is_no_series() -> None:
    with pytest.raises(MmspecError) as error:
        frames.encode(spec("motion").modalities["motion"], 5)  # type: ignore[arg-type]
    assert codes(error) == ["MM505"]
