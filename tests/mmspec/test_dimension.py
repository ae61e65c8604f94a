"""Sizes: arithmetic equals Python's own, and everything else is refused in place."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmspec.diagnostics import MmspecError, Span
from mmspec.expressions.dimension import evaluate, factor

DIMS = {"d": 64, "heads": 4, "k1_x": 7}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[(12, 12), ("12", 12), ("4*d", 256), (" 4 * d ", 256), ("d/heads", 16), ("d//k1_x", 9)],
        *[("2+3*4", 14), ("(2+3)*4", 20), ("d-heads-1", 59), ("d/heads/2", 8), ("-2+d", 62)],
        *[("min(d, heads)", 4), ("max(1, d//heads, 3)*2", 32), ("max(d)", 64)],
        *[("d--2", 66), ("1e3", 1000), ("2147483647", 2**31 - 1), ("65536*65536/4", 2**30)],
    ],
)
def test_values(text: str | int, value: int) -> None:
    assert evaluate(text, DIMS) == value


REFUSED = {
    "MM200": [
        *["d.real", "__import__('os')", "d; 1", "d\x00", "\uff44", "\u0663"],
        *["(" * 99 + "d" + ")" * 99, "-" * 99 + "d", "d+" * 1500 + "d"],
    ],
    "MM201": [
        *["", "4*", "4 d", "(d", "d)", "1.5", "1_000", "d**2", "d^2", "1e99", "d,d"],
        *["d if d else d"],
    ],
    "MM202": [
        *["q", "D"],
    ],
    "MM203": [
        *[
            "0",
            "-d",
            "2147483648",
            "d/k1_x",
            "d/0",
            "d//(d-64)",
            "9" * 30 + "/" + "9" * 30,
            "9" * 30,
        ],
        *["d*" * 400 + "d"],
    ],
}


@pytest.mark.parametrize(
    ("code", "text"),
    [(code, text) for code, texts in REFUSED.items() for text in texts],
    ids=lambda text: ascii(text)[:30],
)
def test_refused(code: str, text: str) -> None:
    with pytest.raises(MmspecError) as caught:
        evaluate(text, DIMS, Span("s.yaml", 3, 5, 3, 5 + len(text)))
    (found,) = caught.value.diagnostics
    assert found.code == code
    assert found.span is not None
    assert 5 <= found.span.column <= 5 + len(text)


FACTORS = {
    "sqrt(d)": 8.0,
    "1/sqrt(128)": 0.08838834764831845,
    "0.5": 0.5,
    "d/k1_x": 9.142857142857142,
    "sqrt(2*d) // 4": 2.0,
    "min(sqrt(heads), 1.5) - -1e-2": 1.51,
}


@pytest.mark.parametrize("text", FACTORS)
def test_factors(text: str) -> None:
    assert factor(text, DIMS) == pytest.approx(FACTORS[text], rel=1e-15)


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("sqrt(d, 2)", "MM203", "one number"),
        ("sqrt(-d)", "MM203", "not negative"),
        ("sqrt d", "MM202", "not among `dims`"),
        ("root(d)", "MM202", "not among `dims`"),
        ("d/0", "MM203", "division by zero"),
        ("sqrt()", "MM201", "expected"),
        ("1e30*1e30", "MM203", "too large"),
        ("d**2", "MM201", "unexpected `**`"),
    ],
)
def test_a_factor_that_is_none_is_told(text: str, code: str, said: str) -> None:
    with pytest.raises(MmspecError) as caught:
        factor(text, DIMS, Span("s.yaml", 1, 1, 1, len(text) + 1))
    (found,) = caught.value.diagnostics
    assert found.code == code
    assert said in found.message


@pytest.mark.parametrize("value", [0, -1, 2**31])
def test_numbers_out_of_range(value: int) -> None:
    with pytest.raises(MmspecError, match="MM203"):
        evaluate(value, DIMS)


def test_the_place_and_help_of_an_unknown_name() -> None:
    with pytest.raises(MmspecError) as caught:
        evaluate("4*haeds", DIMS, Span("s.yaml", 3, 10, 3, 17))
    (found,) = caught.value.diagnostics
    assert found.span == Span("s.yaml", 3, 12, 3, 17)
    assert found.help == "did you mean `heads`?"


def test_the_place_inside_quotes_and_in_folded_text() -> None:
    for base, expected in [
        (Span("s", 1, 10, 1, 17), Span("s", 1, 13, 1, 16)),
        (Span("s", 1, 10, 2, 3), Span("s", 1, 10, 2, 3)),
        (Span("s", 1, 10, 1, 30), Span("s", 1, 10, 1, 30)),
    ]:
        with pytest.raises(MmspecError) as caught:
            evaluate("4*qqq", DIMS, base)
        assert caught.value.diagnostics[0].span == expected


SUMS = st.recursive(
    st.sampled_from(["d", "heads", "k1_x", "2", "3", "10"]),
    lambda inner: st.builds(
        "{}{}{}".format,
        st.builds("({})".format, inner) | inner,
        st.sampled_from(["+", "-", "*", "//", " / "]),
        st.builds("({})".format, inner) | st.builds("-{}".format, inner) | inner,
    ),
    max_leaves=6,
)

PYTHON: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: lambda left, right: Fraction(left // right),
}


def meaning(node: ast.expr) -> Fraction:
    """What Python's own grammar says; ValueError where a value is no whole number."""
    if isinstance(node, ast.BinOp):
        value = PYTHON[type(node.op)](meaning(node.left), meaning(node.right))
        if value.denominator != 1:
            raise ValueError
        return value
    if isinstance(node, ast.UnaryOp):
        return -meaning(node.operand)
    if isinstance(node, ast.Name):
        return Fraction(DIMS[node.id])
    assert isinstance(node, ast.Constant) and isinstance(node.value, int)
    return Fraction(node.value)


@given(SUMS)
def test_arithmetic_equals_pythons(text: str) -> None:
    try:
        expected = meaning(ast.parse(text, mode="eval").body)
    except (ValueError, ZeroDivisionError):
        expected = Fraction(0)
    if 0 < expected < 2**31:
        assert evaluate(text, DIMS) == expected
    else:
        with pytest.raises(MmspecError):
            evaluate(text, DIMS)


@given(st.text(max_size=20) | st.text(alphabet="d1+-*/() .e_", max_size=20))
def test_any_text_is_a_size_or_refused(text: str) -> None:
    with suppress(MmspecError):
        assert 0 < evaluate(text, DIMS) < 2**31
