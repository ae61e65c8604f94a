"""Visible pairs on lines: against tables at small sizes, by hand where no table could be made."""

from __future__ import annotations

import random

import numpy as np
import pytest

from mmspec.compiler.relations.meaning.geometry import line
from mmspec.expressions.mask import And, Mask, Not, Or, Pattern, parse
from mmspec.verify.costs.cuts import lengths
from mmspec.verify.costs.lines import count, counted
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
