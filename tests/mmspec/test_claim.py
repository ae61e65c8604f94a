"""Claims: every sentence of the language, and refusals that say what to write."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmspec.diagnostics import MmspecError, Span
from mmspec.expressions.claim import (
    Causal,
    Claim,
    Comparison,
    Growth,
    NoFlow,
    parse,
    unparse,
)


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("params <= 5e6", Comparison("params", None, (), "<=", 5_000_000)),
        ("params(text)<1M", Comparison("params", "text", (), "<", 1_000_000)),
        ("active_params >= 1.5k", Comparison("active_params", None, (), ">=", 1500)),
        ("params == 124439808", Comparison("params", None, (), "==", 124439808)),
        (
            "flops(text=64, audio=200) <= 1e9",
            Comparison("flops", None, (("text", 64), ("audio", 200)), "<=", 10**9),
        ),
        (
            "useful_flops(text=64) > 2G",
            Comparison("useful_flops", None, (("text", 64),), ">", 2 * 10**9),
        ),
        ("flops <= 1", Comparison("flops", None, (), "<=", 1)),
        ("flops() <= 1", Comparison("flops", None, (), "<=", 1)),
        ("expected_depth <= 4", Comparison("expected_depth", None, (), "<=", 4)),
        (
            "expected_depth(joint) <= 2.5",
            Comparison("expected_depth", "joint", (), "<=", Fraction(5, 2)),
        ),
        ("pairs(audio) in O(audio)", Growth("pairs", "audio", (("audio", 1),))),
        ("pairs(audio) in O(1)", Growth("pairs", "audio", ())),
        ("pairs(a) in O(a^2)", Growth("pairs", "a", (("a", 2),))),
        ("pairs(a) in O(text * a**2 * text)", Growth("pairs", "a", (("text", 2), ("a", 2)))),
        ("causal(text)", Causal("text")),
        ("no flow from image to text", NoFlow("image", "text")),
        ("no flow from from to to", NoFlow("from", "to")),
    ],
)
def test_meaning(text: str, claim: Claim) -> None:
    assert parse(text) == claim
    assert parse(unparse(claim)) == claim


def test_whole_bounds_are_ints() -> None:
    claim = parse("params <= 5.0e6")
    assert isinstance(claim, Comparison) and type(claim.bound) is int


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("params<=5M", "params <= 5000000"),
        ("expected_depth ( joint ) < 2.50", "expected_depth(joint) < 2.5"),
        ("flops( text = 64 )<=1", "flops(text=64) <= 1"),
        ("pairs(a) in O( a*b ** 2 )", "pairs(a) in O(a * b^2)"),
        ("params <= 1/3", "params <= 1/3"),
    ],
)
def test_canonical_text(text: str, canonical: str) -> None:
    assert unparse(parse(text)) == canonical


REFUSED = {
    "MM200": [
        *["__import__('os')", "params <= 5; import os", "params \u2264 5"],
        *["params <= \uff15", "params <= {5}", "params\xa0<= 5"],
        *["params <= 5" + " " * 2000],
    ],
    "MM230": [
        *["", "params", "params 5", "params <=", "params = 5", "params <= x"],
        *["params <= -5", "params <= 5B", "params <= 5 k M", "params <= 1_000"],
        *["params <= 1e999999999", "params(text, image) <= 5", "params() <= 5"],
        *["params <= 5 and params <= 6", "5 >= params", "params < 1/0"],
        *["flops(text) <= 5", "flops(text=1.5) <= 5", "flops(text=) <= 5"],
        *["flops(text=1, text=2) <= 5", "flops(text=2147483648) <= 5", "pairs(a)"],
        *["pairs(a) in a", "pairs(a) in O()", "pairs(a) in O(2)"],
        *["pairs(a) in O(a*log(a))", "pairs in O(1)", "pairs(a) in O(a^0)"],
        *["pairs(a) in O(a^99)", "pairs(a) in O(2*a)", "causal", "causal()"],
        *["causal(a) <= 1", "no flow from a", "no flow to b", "no flow from a to b c"],
    ],
    "MM231": [
        *["parms <= 5", "eval(x) <= 5"],
    ],
}


@pytest.mark.parametrize(
    ("code", "text"),
    [(code, text) for code, texts in REFUSED.items() for text in texts],
    ids=lambda text: ascii(text)[:30],
)
def test_refused(code: str, text: str) -> None:
    with pytest.raises(MmspecError) as caught:
        parse(text, Span("s.yaml", 3, 5, 3, 5 + len(text)))
    (found,) = caught.value.diagnostics
    assert found.code == code
    assert found.span is not None
    assert 5 <= found.span.column <= 5 + len(text)


@pytest.mark.parametrize(
    ("text", "advice", "column"),
    [
        ("parms <= 5", "did you mean `params`?", 1),
        ("params = 5", "write ==", 8),
        ("params ≤ 5", "write <=", 8),
        ("params <= 1_000", "write 1000", 11),
        ("flops(text) <= 5", "write `flops(text=64)`", 11),
        ("no flow image to text", "write `no flow from image to text`", 9),
        ("pairs(a) in O(a * log(a))", "a product of powers", 19),
    ],
)
def test_help_and_place(text: str, advice: str, column: int) -> None:
    with pytest.raises(MmspecError) as caught:
        parse(text, Span("s.yaml", 1, 1, 1, 1 + len(text)))
    (found,) = caught.value.diagnostics
    assert advice in found.help
    assert found.span is not None
    assert found.span.column == column


NAMES = st.sampled_from(["text", "image", "audio_2", "flow", "to", "in", "O", "k"])
LENGTHS = st.dictionaries(NAMES, st.integers(0, 2**31 - 1), max_size=3)
BOUNDS = st.integers(0, 10**15) | st.fractions(0, 10**6, max_denominator=1000).filter(
    lambda value: value.denominator > 1
)
RELATIONS = st.sampled_from(["<=", "<", ">=", ">", "=="])
CLAIMS: st.SearchStrategy[Claim] = (
    st.builds(
        Comparison,
        st.sampled_from(["params", "active_params", "expected_depth"]),
        st.none() | NAMES,
        st.just(()),
        RELATIONS,
        BOUNDS,
    )
    | st.builds(
        Comparison,
        st.sampled_from(["flops", "useful_flops"]),
        st.none(),
        LENGTHS.map(lambda lengths: tuple(lengths.items())),
        RELATIONS,
        BOUNDS,
    )
    | st.builds(
        Growth,
        st.just("pairs"),
        NAMES,
        st.dictionaries(NAMES, st.integers(1, 9), max_size=3).map(lambda o: tuple(o.items())),
    )
    | st.builds(Causal, NAMES)
    | st.builds(NoFlow, NAMES, NAMES)
)


@given(CLAIMS)
def test_text_round_trips(claim: Claim) -> None:
    assert parse(unparse(claim)) == claim


WORDS = [
    *["params", "flops", "pairs", "causal", "no", "flow", "from", "to", "in", "O", "(", ")"],
    *["<=", "=", ",", "*", "^", "1", "2.5", "k", "text", "image"],
]


@given(st.text(max_size=30) | st.lists(st.sampled_from(WORDS), max_size=10).map(" ".join))
def test_any_text_is_a_claim_or_refused(text: str) -> None:
    try:
        claim = parse(text)
    except MmspecError:
        return
    assert parse(unparse(claim)) == claim
