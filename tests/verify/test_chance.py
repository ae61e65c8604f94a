"""What random blocks change, all at once: the same pair by pair; distances in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from mmspec.compiler.relations.meaning.geometry import line
from mmspec.diagnostics import MmspecError
from mmspec.expressions.mask import Pattern, parse
from mmspec.verify import seen as seeing
from mmspec.verify.chance import changed, undrawn
from mmspec.verify.distances import Distances, at
from mmspec.verify.seen import Bools, Side, drawn, draws, seen

MASKS = (
    "random(4) | window(before=64)",
    "random(3) & causal",
    "~random(2) & window(before=300)",
    "random(1, seed=1) & ~random(2, seed=2) | global(1)",
    "random(2) | strided(7)",
    "random(2) & block(100)",
    "random(2) & prefix(90) | random(1, seed=3)",
)


def tiles(table: Bools) -> int:
    """Tiles of 64 x 64 with a visible pair."""
    size = -(-len(table) // 64)
    room = np.zeros((size * 64, size * 64), np.bool_)
    room[: len(table), : len(table)] = table
    return int(room.reshape(size, 64, size, 64).any(axis=(1, 3)).sum())


@pytest.mark.parametrize("text", MASKS)
@pytest.mark.parametrize(("most", "tokens"), [(1000, 1000), (3000, 1500)])
def test_pairs_and_tiles(text: str, most: int, tokens: int) -> None:
    mask, side = parse(text), Side(line("n"), 0, tokens, most)
    table, rest = (seen(one, side, side) for one in (mask, undrawn(mask)))
    expected = int(table.sum()) - int(rest.sum()), tiles(table) - tiles(rest)
    assert changed(mask, side, side) == expected


@pytest.mark.parametrize(("count", "blocks"), [(5, 7), (5, 333), (5, 5), (9, 3)])
def test_draws_of_many_are_those_of_each(
    count: int, blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeing, "_TABLE", 100)
    pattern = Pattern("random", (("blocks", count), ("seed", 3)))
    found = np.sort(draws(pattern, np.arange(40), blocks), axis=1).tolist()
    assert found == [sorted(drawn(pattern, place, blocks)) for place in range(40)]


def test_too_many_blocks_are_refused_before_they_are_drawn() -> None:
    side = Side(line("n"), 0, 2**31 - 1, 2**31 - 1)
    with pytest.raises(MmspecError, match="134,217,728 random blocks"):
        changed(parse("random(4) | causal"), side, side)


@pytest.mark.parametrize(
    "text",
    [
        "causal",
        "none",
        "~window(before=7, after=3) & strided(4)",
        "dilated(step=6, reach=50) | causal & strided(10) | window(before=3)",
    ],
)
def test_distances(text: str) -> None:
    mask, every = parse(text), np.arange(-97, 131)
    shown = np.append(0, np.cumsum(at(mask, every)))
    found = Distances(mask, -97, 131).before(np.append(every, 131))
    assert found.tolist() == shown.tolist()


def test_distances_are_as_many_as_can_be() -> None:
    """Of those from -(2^31) to 2^31 every seventh from -5 up to a billion: no table is made."""
    found = Distances(parse("window(before=1000000000, after=5) & strided(7)"), -(2**31), 2**31)
    assert found.before(np.array([2**31])).tolist() == [10**9 // 7 + 1]
