"""How far keys may be from their queries: never less than pair by pair, and exact where said."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_masks import ANYWHERE, IN_ORDER, SHIFTED, combined, sees, tokens

from mmspec.compiler.relations.meaning.apart import Apart, apart, looks_back
from mmspec.compiler.relations.meaning.geometry import line
from mmspec.expressions.mask import Mask, parse

TOKENS = tokens(line(20), {})

EXACT = {
    "causal": (0, 1),
    "strided(6) | dilated(step=4, reach=11)": (inf, 2),
    "window(before=9, after=7) & strided(3)": (6, 3),
    "dilated(step=5, reach=2147483647)": (2147483645, 5),
    "dilated(step=5, reach=4)": (0, 0),
    "causal & ~window(before=2)": (-3, 1),
    "~(~causal | window(before=2, after=1))": (-3, 1),
    "block(8) & ~causal": (7, 1),
    "window(before=0) | strided(2147483647)": (inf, 2147483647),
    "prefix(5) | causal": (4, 1),
    "block(1)": (0, 0),
    "global(1)": (inf, 1),
}
"""By hand: the furthest ahead, and what divides every distance."""


@pytest.mark.parametrize("mask", EXACT)
def test_a_bound_is_exact_where_patterns_do_not_meet(mask: str) -> None:
    assert apart(parse(mask)) == Apart(*EXACT[mask])


def test_nothing_is_apart_where_nothing_is_shown() -> None:
    assert apart(parse("causal & ~window(before=3) & window(before=2)")) is None


def test_one_after_the_other() -> None:
    ahead, back = Apart(4, 2), Apart(-6, 4)
    assert ahead.then(back) == Apart(-2, 2) and ahead.either(back) == Apart(4, 2)
    assert back.then(ahead) == Apart(-2, 2) and back.either(ahead) == Apart(4, 2)
    assert Apart(inf, 3).then(Apart(-9, 6)) == Apart(inf, 3)
    assert not Apart(inf, 3).holds_next and not Apart(0, 1).holds_next and Apart(1, 1).holds_next


@given(combined(st.one_of(ANYWHERE, IN_ORDER, SHIFTED)))
def test_no_pair_is_further_apart(mask: Mask) -> None:
    found = apart(mask)
    shown = {k.index - q.index for q in TOKENS for k in TOKENS if sees(mask, q, k)}
    if found is None:
        assert not shown
        return
    assert all(x <= found.most and (x % found.step == 0 if found.step else x == 0) for x in shown)
    assert looks_back(mask) <= (max(shown, default=0) <= 0)
