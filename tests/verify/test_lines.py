"""Visible pairs on lines: against tables at small sizes, by hand where no table could be made."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

from mmspec.compiler.relations.meaning.geometry import line
from mmspec.expressions.mask import And, Mask, Not, Or, Pattern, parse
from mmspec.verify.costs.cuts import lengths
from mmspec.verify.costs.lines import count, counted
from mmspec.verify.costs.touched import touched
from mmspec.verify.seen import Side, seen
from mmspec.verify.uncounted import NotCountedError

LONG = 2**31 - 1


def pattern(rng: random.Random) -> Pattern:
    """Of small numbers, so that ends and steps meet."""
    size = rng.randint(2, 13)
    found: list[tuple[str, dict[str, int]]] = [
        ("causal", {}),
        ("full", {}),
        ("none", {}),
        ("window", {"before": rng.randrange(9), "after": rng.randrange(9)}),
        ("dilated", {"step": rng.randint(1, 5), "reach": size}),
        ("strided", {"step": rng.randint(1, 9)}),
        ("block", {"size": size}),
        ("shifted_window", {"size": size, "shift": rng.randrange(2 * size)}),
        ("global", {"count": size}),
        ("prefix", {"length": size}),
    ]
    name, arguments = rng.choice(found)
    return Pattern(name, tuple(arguments.items()))


def mask(rng: random.Random, depth: int) -> Mask:
    if not depth or rng.random() < 0.2:
        return pattern(rng)
    one, other = mask(rng, depth - 1), mask(rng, depth - 1)
    found: list[Mask] = [Not(one), And(one, other), Or(one, other)]
    return rng.choice(found)


@pytest.mark.parametrize("seed", range(4))
def test_pairs_are_those_of_a_table(seed: int) -> None:
    rng, geometry = random.Random(seed), line("n")
    for _ in range(250):
        one, queries, keys = mask(rng, 3), rng.randrange(60), rng.randrange(60)
        sides = (Side(geometry, 0, tokens, 60) for tokens in (queries, keys))
        assert count(one, queries, keys) == int(seen(one, *sides).sum()), (one, queries, keys)


@pytest.mark.parametrize("blocks", [[(4, 1)], [(6, 0), (15, 4)], [(2, 0), (9, 5), (35, 17)]])
def test_lengths_are_those_between_cuts(blocks: list[tuple[int, int]]) -> None:
    """Over several periods, from one cut to another, by all cuts there are."""
    cuts = [x for x in range(1, 2000) if any(x % size == begin for size, begin in blocks)]
    sizes, numbers = np.unique(np.diff(cuts), return_counts=True)
    expected = dict(zip(sizes.tolist(), numbers.tolist(), strict=True))
    assert lengths(frozenset(blocks), cuts[0], cuts[-1]) == expected


def test_blocks_of_which_one_is_large() -> None:
    """Of the pairs of neighbours a part of a billion and seven cuts one: the other cut is even."""
    found = count(parse("block(2) & block(1000000007)"), LONG, LONG)
    assert found == LONG + 2 * (LONG // 2 - 1)


def test_steps_that_meet_late() -> None:
    """Multiples of one step, of the other, less those of both."""
    found = count(parse("strided(46337) | strided(46349)"), LONG, LONG)
    steps = ((46337, 1), (46349, 1), (46337 * 46349, -1))
    at = [(sign, np.arange(step, LONG, step)) for step, sign in steps]
    expected = LONG + 2 * sum(sign * sum(LONG - d for d in each.tolist()) for sign, each in at)
    assert found == expected


def test_first_tokens_and_blocks_of_any_number() -> None:
    """The first half sees the other by `global`; there is one block, cut by the end."""
    half = 2**30
    found = count(parse("global(1073741824) & ~block(2147483647)"), LONG, LONG)
    assert found == 0
    found = count(parse("prefix(1073741824) & block(1073741824)"), LONG, LONG)
    assert found == half * half


def test_what_is_cut_too_often_is_not_counted() -> None:
    text = " & ".join(f"block({size})" for size in (61, 67, 71, 73, 79, 83, 89))
    with pytest.raises(NotCountedError, match="blocks that cut the tokens") as caught:
        counted(parse(text), LONG, LONG)
    (problem,) = caught.value.diagnostics
    assert problem.code == "MM620" and problem.help


@pytest.mark.parametrize("tile", [(4, 4), (8, 4), (4, 1), (16, 16), (3, 5)])
def test_tiles_are_those_of_a_table(tile: tuple[int, int]) -> None:
    """Most masks without steps are told, unless blocks are much smaller than a tile."""
    rng, geometry, told = random.Random(tile[0]), line("n"), 0
    for _ in range(250):
        one, queries, keys = mask(rng, 3), rng.randint(1, 150), rng.randint(1, 150)
        sides = (Side(geometry, 0, tokens, 150) for tokens in (queries, keys))
        found = touched(one, (queries, keys), tile)
        table = seen(one, *sides)
        for axis, size in enumerate(tile):
            places = np.arange(0, table.shape[axis], size)
            table = np.logical_or.reduceat(table, places, axis=axis)
        assert found in (None, int(table.sum())), (one, queries, keys)
        told += found is not None
    assert told > 120


def test_tiles_of_blocks_of_any_number() -> None:
    """Three blocks of a billion and seven, of which the last is cut short; two tiles hold cuts."""
    size, side = 10**9 + 7, 64
    ends = [0, size, 2 * size, LONG]
    spans = [(a // side, -(-b // side)) for a, b in pairwise(ends)]
    shared = sum(a[1] - b[0] for a, b in pairwise(spans))
    expected = sum((b - a) ** 2 for a, b in spans) - shared
    assert shared == 2
    assert touched(parse("block(1000000007)"), (LONG, LONG), (side, side)) == expected


def test_tiles_of_blocks_repeat() -> None:
    """From one least multiple of both sizes and the tile's to the next there are as many."""
    period, text = 100 * 77 * 16, parse("block(100) | block(77)")
    one, more = (touched(text, (n * period, n * period), (64, 64)) for n in (1, 9000))
    assert one is not None and more == 9000 * one
    queries = np.arange(period)
    found = 0
    for first in range(0, period, 64):
        q = queries[first : first + 64]
        spans = [(int(x), int(x) + n) for n in (100, 77) for x in np.unique(q // n * n)]
        found += len({j for a, b in spans for j in range(a // 64, -(-min(b, period) // 64))})
    assert one == found
