"""Tiles of masks that go by distance, against tables of all pairs; and at any number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmspec.compiler.relations.meaning.geometry import line
from mmspec.expressions.mask import parse
from mmspec.verify.costs import stepped
from mmspec.verify.seen import Ints, Side, seen

STEP = st.integers(1, 17)
TILES = ((4, 4), (8, 4), (4, 8), (16, 1), (1, 16), (6, 2))


def patterns(step: st.SearchStrategy[int]) -> st.SearchStrategy[str]:
    """Some that go by distance, joined."""
    leaves = st.one_of(
        st.sampled_from(["causal", "full"]),
        st.builds("window(before={}, after={})".format, st.integers(0, 40), st.integers(0, 40)),
        st.builds("strided({})".format, step),
        st.builds("dilated({}, {})".format, step, st.integers(1, 90)),
    )
    return st.recursive(
        leaves,
        lambda one: (
            st.builds("~({})".format, one)
            | st.builds("({} {} {})".format, one, st.sampled_from("&|"), one)
        ),
        max_leaves=4,
    )


def naive(mask: str, tokens: tuple[int, int], places: tuple[Ints, Ints]) -> int:
    """Pairs of tiles that hold a visible pair, by the tile of each token."""
    sides = (Side(line(name), 0, n, n) for name, n in zip("ab", tokens, strict=True))
    pairs = np.nonzero(seen(parse(mask), *sides))
    return len(
        {*zip(*(of[at].tolist() for of, at in zip(places, pairs, strict=True)), strict=True)}
    )


@given(
    patterns(STEP),
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.sampled_from(TILES),
    st.sampled_from([6, 2**19]),
)
def test_rows_of_tiles(
    mask: str, tokens: tuple[int, int], tile: tuple[int, int], most: int
) -> None:
    """most: few places, so that steps are taken for large ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stepped, "_MOST", most)
        stepped.touched_apart.cache_clear()
        found = stepped.touched_apart(parse(mask), tokens, tile)
    places = tuple(np.arange(n) // side for n, side in zip(tokens, tile, strict=True))
    assert found == naive(mask, tokens, (places[0], places[1])) or (found is None and most == 6)


@given(st.data(), STEP, st.tuples(st.integers(1, 90), st.integers(1, 90)), st.sampled_from(TILES))
def test_classes_of_tiles(
    data: st.DataObject, step: int, tokens: tuple[int, int], tile: tuple[int, int]
) -> None:
    mask = data.draw(patterns(st.just(step)))
    found = stepped.touched_in_classes(parse(mask), tokens, tile, step)
    places = tuple(
        np.arange(n) % step * 1000 + np.arange(n) // step // side
        for n, side in zip(tokens, tile, strict=True)
    )
    assert found == naive(mask, tokens, (places[0], places[1]))


MOST = 2**31 - 1


@pytest.mark.parametrize("step", [777, 65537, 999983, 1000000007])
def test_steps_at_any_length(step: int) -> None:
    """Tiles of one pair each are pairs, which have a closed form of their own."""
    many, longer = divmod(MOST, step)
    pairs = longer * (many + 1) ** 2 + (step - longer) * many**2
    assert stepped.touched_apart(parse(f"strided({step})"), (MOST, MOST), (1, 1)) == pairs
    assert (
        stepped.touched_in_classes(parse(f"strided({step})"), (MOST, MOST), (1, 1), step) == pairs
    )
