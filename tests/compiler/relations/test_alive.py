"""Keys that later queries may still see, against every query of a long segment asked one by one."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from large import is_deep
from naive_masks import ANYWHERE, IN_ORDER, SHIFTED, combined, sees, tokens

from mmspec.compiler.relations.meaning.alive import alive
from mmspec.compiler.relations.meaning.geometry import grid, line
from mmspec.expressions.mask import Mask, parse

TEXT = line("n")
KEYS, LONG = 41, 480
"""Keys that are looked at, and queries: later ones see nothing new of masks this small."""


def last_seen(mask: Mask) -> list[int]:
    """The last query that sees each key; -1: none does."""
    places = tokens(TEXT, {"n": LONG})
    return [
        max((q.index for q in places if sees(mask, q, key)), default=-1) for key in places[:KEYS]
    ]


MASKS = combined(st.one_of(ANYWHERE, IN_ORDER, SHIFTED))


@settings(max_examples=100 if is_deep() else 20)
@given(MASKS)
@example(parse("window(before=0)"))
@example(parse("causal & ~window(before=5)"))
def test_a_key_lives_until_the_last_query_that_sees_it(mask: Mask) -> None:
    last, found = last_seen(mask), alive((mask,), TEXT, TEXT)
    condition = compile(found.source(), "<alive>", "eval")
    counts = []
    for t in range(KEYS):
        living = [k for k in range(t) if last[k] >= t]
        assert [k for k in range(t) if eval(condition, {"k": k, "t": t})] == living, t
        counts.append(len(living))
    if found.most is not None:
        assert max(counts) == found.most


@settings(max_examples=100 if is_deep() else 20)
@given(MASKS, MASKS)
@example(parse("window(before=7)"), parse("window(before=0)"))  # seen last at a border
def test_heads_that_share_a_cache_keep_what_any_of_them_sees(one: Mask, other: Mask) -> None:
    last = [max(pair) for pair in zip(last_seen(one), last_seen(other), strict=True)]
    condition = compile(alive((one, other), TEXT, TEXT).source(), "<alive>", "eval")
    for t in range(0, KEYS, 7):
        found = [k for k in range(t) if eval(condition, {"k": k, "t": t})]
        assert found == [k for k in range(t) if last[k] >= t]


@pytest.mark.parametrize(
    ("mask", "source", "most"),
    [
        ("causal", "True", None),
        ("window(before=127)", "k >= t - 127", 127),
        ("window(before=127) | global(1)", "(k >= t - 127) | (k == 0)", 128),
        ("causal & dilated(step=3, reach=8)", "k >= t - 6", 6),
        ("causal & prefix(length=6)", "k <= 5", 6),
        ("causal & strided(step=4)", "True", None),
        ("causal & random(blocks=2)", "True", None),
        ("causal & ~full", "False", 0),
    ],
)
def test_what_lives_reads_as_one_would_write_it(mask: str, source: str, most: int | None) -> None:
    found = alive((parse(mask),), TEXT, TEXT)
    assert (found.source(), found.most) == (source, most)


def test_of_another_segment_lives_what_any_query_sees() -> None:
    image = grid(3, 5)
    assert alive((parse("full"),), TEXT, image, own=False).all
    assert alive((parse("prefix(length=6)"),), TEXT, image, own=False).source("x") == "x <= 5"
    assert alive((parse("none"),), TEXT, image, own=False).none
    late = alive((parse("~global(1)"),), TEXT, image, own=False)
    assert (late.source(), late.most) == ("k >= 1", None)
