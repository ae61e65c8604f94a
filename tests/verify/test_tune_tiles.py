"""Tiles that the adviser counts, in every order and by every way, against a count by pair."""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import Any

import islpy as isl
import pytest
from test_costs_visible import CLIP, IMAGE, PLACES, TEXT, at, lengths_of, pairs, place, random_mask

from mmspec.compiler import ir
from mmspec.compiler.relations.limit import TooHardError, limited
from mmspec.compiler.relations.meaning.geometry import grid, line, volume
from mmspec.compiler.relations.meaning.relation import relation
from mmspec.expressions.mask import Mask, Pattern, parse, patterns
from mmspec.verify.seen import Side, side
from mmspec.verify.tune import count, counted, rows
from mmspec.verify.tune.counted import Tiles
from mmspec.verify.tune.near import near
from mmspec.verify.tune.order import Order, Tiling, orders, tiling, windows

NOTHING = 0


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every mask is counted as those of long segments are."""
    count.tiles.cache_clear()
    monkeypatch.setattr(count, "_SMALL", NOTHING)


def cell(of: ir.Segment, index: int, tile: Tiling) -> tuple[Any, ...]:
    """What stands together with a token, and its place there: what tiles of runs are cut from."""
    at_place = place(of, index)
    if tile.kind == "rows":
        return (), index
    if tile.kind == "classes":
        assert tile.pattern is not None
        step = tile.pattern.size("step")
        return (index % step,), index // step
    names = [x for x in ("frame", "row", "column") if x in at_place]
    if tile.kind == "windows":
        assert tile.pattern is not None
        size, shift = tile.pattern.size("size"), tile.pattern.size("shift")
        return tuple(
            at_place[x] if x == "frame" else (at_place[x] - shift) // size for x in names
        ), None
    return tuple(at_place[x] // n for x, n in zip(names, tile.sides, strict=True)), 0


def cells(of: ir.Segment, tokens: int, tile: Tiling) -> list[Any]:
    """The tile of each token, by what the docstring of `order.py` says."""
    before: Counter[Any] = Counter()
    found = []
    for index in range(tokens):
        together, within = cell(of, index, tile)
        within = before[together] if within is None else within
        before[together] += 1
        side_of = tile.sides[0] if tile.kind in ("rows", "classes", "windows") else 1
        found.append((together, within // side_of))
    return found


def by_pair(
    mask: Mask, query: ir.Segment, key: ir.Segment, sizes: tuple[int, int], tile: Any
) -> tuple[int, int]:
    """Tiles with a visible pair, and those of them with all of theirs."""
    queries, keys = cells(query, sizes[0], tile[0]), cells(key, sizes[1], tile[1])
    visible = Counter((queries[q], keys[k]) for q, k in pairs(query, key, mask, sizes))
    tall, wide = Counter(queries), Counter(keys)
    inside = sum(n == tall[i] * wide[j] for (i, j), n in visible.items())
    return len(visible), inside


def tilings(order: Order, query: ir.Segment, key: ir.Segment, mask: Mask, sides: Any) -> Any:
    shown = frozenset(patterns(mask))
    return tuple(
        tiling(order, segment.geometry, shown, n)
        for segment, n in zip((query, key), sides, strict=True)
    )


def check(query: ir.Segment, key: ir.Segment, mask: Mask, sizes: tuple[int, int]) -> int:
    """In all orders, for square tiles and tall ones; how many were compared."""
    given = at((query, sizes[0]), (key, sizes[1]))
    sides = side(query, given), side(key, given)
    shown = frozenset(patterns(mask))
    compared = 0
    for order in orders([(query.geometry, shown), (key.geometry, shown)]):
        for tile in ((4, 4), (8, 4), (3, 5) if order.kind == "rows" else (16, 16)):
            both = tilings(order, query, key, mask, tile)
            found = count.tiles(mask, *sides, both)
            expected = by_pair(mask, query, key, sizes, both)
            assert found is not None
            assert (found.touched, found.inside) == expected, (mask, sizes, str(order), tile)
            compared += 1
    return compared


@pytest.mark.parametrize("where", PLACES)
def test_tiles_of_any_mask_are_those_of_its_pairs(where: str) -> None:
    query, key, texts = PLACES[where]
    rng = random.Random(11 + len(where))
    for _ in range(12):
        mask = random_mask(rng, texts)
        sizes = lengths_of(query, rng), lengths_of(key, rng)
        check(query, key, mask, (sizes[0], sizes[0]) if query is key else sizes)


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.usefixtures("quick")
def test_so_are_those_that_are_counted_as_for_long_segments(where: str) -> None:
    query, key, texts = PLACES[where]
    rng = random.Random(29 + len(where))
    for _ in range(6):
        mask = random_mask(rng, texts)
        sizes = lengths_of(query, rng), lengths_of(key, rng)
        check(query, key, mask, (sizes[0], sizes[0]) if query is key else sizes)


@pytest.mark.parametrize(
    ("of", "text", "kind"),
    [
        (TEXT, "dilated(step=3, reach=7)", "classes"),
        (TEXT, "strided(4) & causal | global(2)", "classes"),
        (IMAGE, "window2d(1) | global(2)", "boxes"),
        (IMAGE, "shifted_window(size=3, shift=2)", "windows"),
        (IMAGE, "shifted_window(size=2, shift=1) | global(1)", "windows"),
        (IMAGE, "axial(column) | prefix(3)", "lines"),
        (CLIP, "axial(frame) | frame", "lines"),
        (CLIP, "shifted_window(size=2, shift=1)", "windows"),
    ],
)
@pytest.mark.usefixtures("quick")
def test_each_order_is_offered_where_a_pattern_asks_for_it(
    of: ir.Segment, text: str, kind: str
) -> None:
    mask = parse(text)
    shown = frozenset(patterns(mask))
    assert kind in {order.kind for order in orders([(of.geometry, shown)])}
    assert check(of, of, mask, (35, 35) if of is IMAGE else (30, 30)) >= 6


def test_two_steps_offer_no_classes() -> None:
    shown = frozenset(patterns(parse("dilated(step=3, reach=9) | strided(4)")))
    assert [order.kind for order in orders([(TEXT.geometry, shown)])] == ["rows"]


ROWS_64 = Tiling("rows", (64,)), Tiling("rows", (64,))


def long(tokens: int) -> Side:
    return Side(line("n_text"), 0, tokens, tokens)


@pytest.mark.parametrize(
    "text",
    [
        "block(24)",
        "causal & block(56) | global(3)",
        "shifted_window(size=20, shift=3) | prefix(31)",
        "block(9) & ~window(before=3) | strided(7) & causal",
        "~causal & block(40) | ~window(before=50)",
    ],
)
@pytest.mark.parametrize("sides", [(16, 16), (16, 32), (48, 16)])
def test_rows_of_blocks_that_fall_together_seldom(text: str, sides: tuple[int, int]) -> None:
    """By loops, and pair by pair."""
    mask, (tall, wide), query = parse(text), (Tiling("rows", (n,)) for n in sides), long(2411)
    found = rows.by_rows(mask, query, query, (tall, wide))
    assert found == counted.by_pairs(mask, query, query, (tall, wide))


def test_rows_of_a_long_mask_are_those_of_its_pairs() -> None:
    mask = parse("block(24) | window(before=5) | global(3)")
    query, tile = long(3001), (Tiling("rows", (16,)), Tiling("rows", (32,)))
    assert rows.by_rows(mask, query, query, tile) == counted.by_pairs(mask, query, query, tile)


def test_a_window_of_a_million_tokens_in_no_time() -> None:
    """A causal window of 512: row i touches the tiles i - 8 to i, all but the first and last whole.

    Blocks of 100 are counted as pairs of tiles that some block lies in.
    """
    tokens = 2**20
    start = time.process_time()
    window = count.tiles(parse("causal & window(before=511)"), long(tokens), long(tokens), ROWS_64)
    blocks = count.tiles(parse("block(100)"), long(tokens), long(tokens), ROWS_64)
    assert time.process_time() - start < 20
    each = range(tokens // 64)
    touched = sum(min(i, 8) + 1 for i in each)
    cut = sum(1 + (i >= 8) for i in each)
    assert window == Tiles(touched, touched - cut)
    shared = {
        (i, j)
        for first in range(0, tokens, 100)
        for i in range(first // 64, min(first + 99, tokens - 1) // 64 + 1)
        for j in range(first // 64, min(first + 99, tokens - 1) // 64 + 1)
    }
    inside = sum(i * 64 // 100 == (max(i, j) * 64 + 63) // 100 == j * 64 // 100 for i, j in shared)
    assert blocks is not None
    assert blocks.touched == len(shared)
    assert blocks.inside == inside


def test_boxes_of_a_great_image_in_no_time() -> None:
    """Neighbourhoods of radius 7 in boxes of 8 x 8: each box touches those next to it."""
    image = Side(grid(1024, 1024), 0, 2**20, 2**20)
    box = Tiling("boxes", (8, 8))
    start = time.process_time()
    found = count.tiles(parse("window2d(7)"), image, image, (box, box))
    assert time.process_time() - start < 10
    assert found == Tiles((3 * 128 - 2) ** 2, 128 * 128)


@pytest.mark.parametrize("text", ["random(blocks=1, seed=3) | window(before=7)", "~random(2)"])
@pytest.mark.parametrize("sides", [(16, 16), (64, 64), (128, 64)])
@pytest.mark.usefixtures("quick")
def test_random_blocks_change_what_they_are_drawn_in(text: str, sides: tuple[int, int]) -> None:
    """1,411 keys of at most 2,000, from which blocks are drawn."""
    query = Side(line("n_text"), 0, 1411, 2000)
    tile = Tiling("rows", (sides[0],)), Tiling("rows", (sides[1],))
    found = count._quickly(parse(text), query, query, tile)
    assert found == counted.by_pairs(parse(text), query, query, tile)


NEAR = {
    "line": (line("n_text"), 499),
    "image": (grid(23, 19), 23 * 19),
    "clip": (volume("n_clip", 7, 5), 14 * 35),
}


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("line", "window(before=9, after=31)"),
        ("line", "block(47) | global(3)"),
        ("line", "shifted_window(size=41, shift=20) | none"),
        ("line", "dilated(step=3, reach=60) & ~causal"),
        ("line", "prefix(30) | window(before=3)"),
        ("image", "window2d(2) | global(5)"),
        ("image", "shifted_window(size=5, shift=3) & ~axial(row)"),
        ("image", "axial(column) | block(31)"),
        ("clip", "window3d(1) | global(5)"),
        ("clip", "window2d(3) | prefix(4)"),
        ("clip", "frame & ~window(before=3) | axial(column)"),
        ("clip", "axial(row) | shifted_window(size=3, shift=1)"),
        ("clip", "axial(frame) & strided(2)"),
    ],
)
def test_keys_that_are_passed_over_are_hidden(
    where: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few queries at a time see the same tiles as they do where a mask might reach anywhere."""
    monkeypatch.setattr(counted, "_CHUNK", 1)
    geometry, tokens = NEAR[where]
    mask, far = parse(text), parse(f"~~({text})")
    here, tile = Side(geometry, 0, tokens, tokens), (Tiling("rows", (16,)), Tiling("rows", (32,)))
    assert near(mask, counted.known(here)) is not None
    assert near(far, counted.known(here)) is None
    found = [counted.by_pairs(one, here, here, tile) for one in (mask, far)]
    assert found[0] == found[1]
    assert found[0].touched > 0


def test_a_number_that_isl_stopped_at_is_too_hard() -> None:
    """It is None then, and what is done with it a TypeError; any other stays what it is."""
    with pytest.raises(TooHardError), limited(10):
        try:
            relation(parse("block(7)"), line("n"), line("n"))
        except isl.Error:
            raise TypeError from None
    with pytest.raises(TypeError), limited(10_000_000):
        raise TypeError


def test_a_limit_within_another_leaves_that_one_alone() -> None:
    with limited(10_000_000):
        with limited(10):
            relation(parse("block(7)"), line("n"), line("n"))
        assert isl.DEFAULT_CONTEXT.get_max_operations() == 10_000_000
    assert isl.DEFAULT_CONTEXT.get_max_operations() == 0
    with pytest.raises(TooHardError), limited(10), limited(10_000_000):
        relation(parse("block(7)"), line("n"), line("n"))


def test_what_is_too_long_to_count_is_not_counted() -> None:
    image = Side(grid(1021, 1021), 0, 1021**2, 1021**2)
    tile = Tiling("windows", (64,), parse("shifted_window(size=9, shift=1)"))  # type: ignore[arg-type]
    mask = parse("shifted_window(size=9, shift=1) | global(1)")
    assert count.tiles(mask, image, image, (tile, tile)) is None


def test_windows_are_cut_as_their_tokens_are_numbered() -> None:
    """In closed form, and token by token; of a billion tokens in no time."""
    for size, shift, sides in (
        (7, 3, (20, 33)),
        (8, 8, (16, 24)),
        (9, 5, (4, 30)),
        (50, 7, (6, 5)),
    ):
        pattern = Pattern("shifted_window", (("size", size), ("shift", shift)))
        tile, place = (
            Tiling("windows", (16,), pattern),
            Side(grid(*sides), 0, sides[0] * sides[1], 1),
        )
        assert tile.count(place) == len(set(tile.numbers(place).tolist()))
        assert sum(area * many for area, many in windows(place, pattern)) == place.stop
    pattern = Pattern("shifted_window", (("size", 8), ("shift", 0)))
    place = Side(grid(32768, 32768), 0, 2**30, 2**30)
    assert Tiling("windows", (64,), pattern).count(place) == 2**24


@pytest.mark.parametrize(
    "mask", ["strided(3) | block(1000000007)", "strided(3) & ~block(1000000007)"]
)
def test_what_takes_long_to_count_is_soon_said_not_to_be(mask: str) -> None:
    """Half a second; with the operations of other masks it was ten."""
    long = Side(line("n_text"), 0, 2**31 - 1, 2**31 - 1)
    start = time.process_time()
    assert (
        count.tiles(parse(mask), long, long, (Tiling("rows", (64,)), Tiling("rows", (64,)))) is None
    )
    assert time.process_time() - start < 5
