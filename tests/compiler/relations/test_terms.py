"""Masks with tables as terms: together the mask, and no pair in two of them."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmspec.compiler.relations.meaning.definitions import is_closed
from mmspec.compiler.relations.meaning.geometry import line
from mmspec.compiler.relations.meaning.sequence import Side
from mmspec.compiler.relations.meaning.terms import terms
from mmspec.expressions.mask import And, Mask, Not, Or, Pattern, parse, patterns, unparse

KEY = Side("text", line("n_text"), "n_text", 1000)
_TABLES = ("document", "random(2)", "random(3, seed=1)")
_FORMULAS = ("causal", "window(before=4)", "prefix(3)", "full", "none")
LEAVES = [parse(text) for text in (*_TABLES, *_FORMULAS)]


def masks() -> st.SearchStrategy[Mask]:
    def wider(inner: st.SearchStrategy[Mask]) -> st.SearchStrategy[Mask]:
        pairs = st.builds(And, inner, inner) | st.builds(Or, inner, inner)
        return st.builds(Not, inner) | pairs

    return st.recursive(st.sampled_from(LEAVES), wider, max_leaves=7)


def holds(mask: Mask, truth: dict[Pattern, bool]) -> bool:
    """By what is said of each pattern."""
    if isinstance(mask, Pattern):
        return {"full": True, "none": False}.get(mask.name, truth.get(mask, False))
    if isinstance(mask, Not):
        return not holds(mask.operand, truth)
    left, right = holds(mask.left, truth), holds(mask.right, truth)
    return left and right if isinstance(mask, And) else left or right


@given(masks())
def test_a_pair_is_in_one_term_where_it_is_visible_and_else_in_none(mask: Mask) -> None:
    found = terms(mask, KEY)
    asked = list(dict.fromkeys(patterns(mask)))
    for values in product((True, False), repeat=len(asked)):
        truth = dict(zip(asked, values, strict=True))
        inside = [
            holds(term.closed, truth) and all(truth[p] == value for p, value in term.literals)
            for term in found
        ]
        assert sum(inside) == holds(mask, truth)
    assert all(is_closed(term.closed) for term in found)


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ("causal", ["causal"]),
        ("document & causal", ["causal if document"]),
        ("document | prefix(4)", ["full if document", "prefix(length=4) if ~document"]),
        ("~document", ["full if ~document"]),
        ("document & ~document", []),
        ("(document | causal) & (~document | causal)", ["causal"]),
        ("random(16) & causal", ["causal"]),
        ("random(15) & causal", ["causal if random(blocks=15, seed=0)"]),
    ],
)
def test_terms_are_as_few_as_can_be(mask: str, expected: list[str]) -> None:
    """A thousand keys are 16 blocks: `random(16)` draws all of them."""
    found = [
        " ".join(
            [
                unparse(term.closed),
                *(f"if {'' if value else '~'}{unparse(p)}" for p, value in term.literals),
            ]
        )
        for term in terms(parse(mask), KEY)
    ]
    assert found == expected
