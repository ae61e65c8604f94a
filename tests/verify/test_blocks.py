"""Blocks of a mask against the formulas of docs/masks.md, pair by pair."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest

from mmspec.compiler.relations.meaning.geometry import Clock, Geometry, grid, line, volume
from mmspec.expressions.mask import And, Mask, Not, Or, parse
from mmspec.verify import blocks
from mmspec.verify.blocks import shades
from mmspec.verify.seen import Side, drawn, seen

CLOCK = Clock(Fraction(3), Fraction(40))
LINE = line("n", CLOCK)
SOUND = line("m", Clock(Fraction(0), Fraction(125, 2)))
IMAGE = grid(7, 5)
CLIP = volume("f", 3, 5, CLOCK)

ANYWHERE = ["full", "none", "global(3)", "prefix(11)", "random(blocks=1, seed=5)", "document"]
ORDERED = [
    "causal",
    "window(before=4, after=1)",
    "dilated(step=3, reach=13)",
    "strided(4)",
    "block(7)",
    "shifted_window(size=5, shift=3)",
]
SPATIAL = [
    "window2d(1)",
    "shifted_window(size=3, shift=1)",
    "axial(row)",
    "axial(column)",
]
PLACES: dict[str, tuple[Geometry, Geometry, list[str]]] = {
    "line": (LINE, LINE, [*ANYWHERE, *ORDERED, "within(90 ms)"]),
    "two lines": (LINE, SOUND, [*ANYWHERE, *ORDERED, "within(10 ms)", "within(333 ms)"]),
    "image": (IMAGE, IMAGE, [*ANYWHERE, *SPATIAL, "causal", "strided(4)"]),
    "clip": (CLIP, CLIP, [*ANYWHERE, *SPATIAL, "window3d(1)", "frame", "axial(frame)"]),
    "sound of a clip": (SOUND, CLIP, [*ANYWHERE, "within(100 ms)"]),
    "clip of a sound": (CLIP, SOUND, [*ANYWHERE, "within(100 ms)"]),
}


def coordinates(geometry: Geometry, index: int) -> dict[str, Any]:
    """Of a token, worked out by hand."""
    width, area = 5, {IMAGE: 35, CLIP: 15}.get(geometry, 1)
    at: dict[str, Any] = {"index": index, "drawn of": 1 if geometry == IMAGE else 5}
    if geometry in (IMAGE, CLIP):
        at |= {"row": index % area // width, "column": index % width}
    if geometry == CLIP:
        at["frame"] = index // area
    if geometry.clock is not None:
        ticks = at.get("frame", index)
        at["ms"] = geometry.clock.offset + ticks * geometry.clock.period
    return at


def visible(mask: Mask, q: dict[str, Any], k: dict[str, Any]) -> bool:
    """docs/masks.md, for one pair."""
    if isinstance(mask, Not):
        return not visible(mask.operand, q, k)
    if isinstance(mask, And):
        return visible(mask.left, q, k) and visible(mask.right, q, k)
    if isinstance(mask, Or):
        return visible(mask.left, q, k) or visible(mask.right, q, k)
    given: dict[str, Any] = dict(mask.arguments)
    apart = q["index"] - k["index"]
    same_frame = q.get("frame") == k.get("frame")
    close = [abs(q.get(x, 0) - k.get(x, 0)) for x in ("frame", "row", "column")]
    spatial = [x for x in ("frame", "row", "column") if x in q]

    def part(at: dict[str, Any], name: str) -> int:
        return int((at[name] - given["shift"]) // given["size"])

    answers: dict[str, Callable[[], bool]] = {
        "full": lambda: True,
        "document": lambda: True,
        "none": lambda: False,
        "causal": lambda: apart >= 0,
        "window": lambda: -given["after"] <= apart <= given["before"],
        "dilated": lambda: abs(apart) <= given["reach"] and apart % given["step"] == 0,
        "strided": lambda: apart % given["step"] == 0,
        "block": lambda: q["index"] // given["size"] == k["index"] // given["size"],
        "global": lambda: min(q["index"], k["index"]) < given["count"],
        "prefix": lambda: k["index"] < given["length"],
        "window2d": lambda: same_frame and max(close[1:]) <= given["radius"],
        "window3d": lambda: max(close) <= given["radius"],
        "frame": lambda: same_frame,
        "axial": lambda: all(q[x] == k[x] for x in spatial if x != given["axis"]),
        "within": lambda: abs(q["ms"] - k["ms"]) <= given["duration"] * 1000,
        "random": lambda: k["index"] // 64 in drawn(mask, q["index"] // 64, k["drawn of"]),
        "shifted_window": lambda: (
            same_frame
            and all(part(q, x) == part(k, x) for x in (("row", "column") if spatial else ["index"]))
        ),
    }
    return bool(answers[mask.name]())


MOST = 300


def cut(rng: random.Random, tokens: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Blocks of uneven sizes."""
    inside = rng.sample(range(1, tokens), min(tokens - 1, rng.randint(1, 9)))
    return np.array(sorted({0, tokens, *inside}))


def drawn_mask(rng: random.Random, texts: list[str], depth: int) -> Mask:
    if depth == 0 or rng.random() < 0.2:
        return parse(rng.choice(texts))
    if rng.random() < 0.3:
        return Not(drawn_mask(rng, texts, depth - 1))
    left, right = (drawn_mask(rng, texts, depth - 1) for _ in range(2))
    return And(left, right) if rng.random() < 0.5 else Or(left, right)


def segment(geometry: Geometry, rng: random.Random) -> Side:
    tokens = {IMAGE: 35, CLIP: 15 * rng.randint(1, 5)}.get(geometry, rng.randint(1, 83))
    return Side(geometry, 0, tokens, MOST if geometry.symbols else tokens)


@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("where", PLACES)
def test_a_block_shows_none_some_or_all_of_its_pairs(where: str, depth: int) -> None:
    query_geometry, key_geometry, texts = PLACES[where]
    rng = random.Random(f"{where} {depth}")
    masks = [parse(text) for text in texts] if depth == 0 else []
    masks += [drawn_mask(rng, texts, depth) for _ in range(7 * (depth > 0))]
    for mask in masks:
        query = segment(query_geometry, rng)
        key = query if query_geometry is key_geometry else segment(key_geometry, rng)
        rows, columns = cut(rng, query.stop), cut(rng, key.stop)
        pairs = np.array(
            [
                [
                    visible(mask, coordinates(query_geometry, q), coordinates(key_geometry, k))
                    for k in range(key.stop)
                ]
                for q in range(query.stop)
            ]
        )
        expected = [
            [
                2 if pairs[a:b, c:d].all() else 1 if pairs[a:b, c:d].any() else 0
                for c, d in pairwise(columns.tolist())
            ]
            for a, b in pairwise(rows.tolist())
        ]
        found = shades(mask, query, key, rows, columns)
        assert found.tolist() == expected, (mask, query, key)
        assert (seen(mask, query, key) == pairs).all(), mask


def test_blocks_of_single_tokens_are_the_mask_itself() -> None:
    side = Side(LINE, 0, 37, 37)
    mask = parse("causal & ~dilated(step=3, reach=7)")
    every = np.arange(38)
    assert (shades(mask, side, side, every, every) == 2 * seen(mask, side, side)).all()


def test_a_segment_without_tokens_has_no_blocks() -> None:
    sides = Side(LINE, 0, 0, 37), Side(SOUND, 0, 5, 37)
    for query, key in product(sides, sides):
        rows, columns = (np.unique([0, side.stop]) for side in (query, key))
        shape = shades(parse("full"), query, key, rows, columns).shape
        assert shape == (len(rows) - 1, len(columns) - 1)


@pytest.mark.parametrize(
    "text", ["window3d(3) | axial(frame)", "~frame & (random(9) | shifted_window(size=4, shift=2))"]
)
def test_a_hundred_thousand_tokens_take_no_table_of_pairs(text: str) -> None:
    clip = Side(volume("n", 14, 14), 0, 196 * 510, 196 * 510)
    cuts = np.append(np.arange(0, clip.stop, 256), clip.stop)
    start = time.process_time()
    found = shades(parse(text), clip, clip, cuts, cuts)
    assert time.process_time() - start < 20
    for row, column in ((0, 0), (17, 20), (200, 201), (390, 12)):
        part, other = (clip.part(int(cuts[x]), int(cuts[x + 1])) for x in (row, column))
        table = seen(parse(text), part, other)
        assert found[row, column] == (2 if table.all() else 1 if table.any() else 0)


def test_what_two_patterns_show_of_a_block_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the look, their blocks stay unknown: no guess is made."""
    monkeypatch.setattr(blocks, "_look", lambda *_: None)
    side = Side(LINE, 0, 20, 20)
    cuts = np.array([0, 10, 20])
    found = shades(parse("block(4) & causal"), side, side, cuts, cuts)
    assert found.tolist() == [[3, 0], [1, 3]]


@pytest.mark.parametrize("duration", ["1e-30 s", "70 ms", "1/3 s", "1e9 s"])
@pytest.mark.parametrize("period", [Fraction(125, 2), Fraction(10**30 + 7, 10**29)])
def test_times_beyond_64_bits_are_compared_exactly(duration: str, period: Fraction) -> None:
    """Durations and rates have any number of digits."""
    other = line("m", Clock(Fraction(0), period))
    query, key = Side(LINE, 0, 29, 31), Side(other, 0, 23, 23)
    in_ms = {"1e-30 s": Fraction(1, 10**27), "70 ms": Fraction(70), "1/3 s": Fraction(1000, 3)}
    most = in_ms.get(duration, Fraction(10**12))
    near = [[abs(3 + 40 * q - k * period) <= most for k in range(23)] for q in range(29)]
    mask = parse(f"within({duration})")
    assert seen(mask, query, key).tolist() == near
    ends = np.array([0, 7, 14, 21, 28, 29]), np.array([0, 5, 10, 15, 20, 23])
    for row, (top, bottom) in zip(shades(mask, query, key, *ends), pairwise(ends[0]), strict=True):
        for found, (left, right) in zip(row, pairwise(ends[1]), strict=True):
            part = {x for line_of in near[top:bottom] for x in line_of[left:right]}
            assert found == (
                blocks.SOME if len(part) == 2 else blocks.ALL if part == {True} else blocks.NONE
            )


@pytest.mark.parametrize("text", ["block(9) & strided(7)", "window(before=40) & ~block(13)"])
def test_samples_show_what_is_there(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some pairs stand for all: what is partly visible by them is; what is told without stays."""
    mask, side = parse(text), Side(line("n"), 0, 500, 500)
    cuts = np.append(np.arange(0, 500, 64), 500)
    exact = blocks.shades(mask, side, side, cuts, cuts)
    assert not blocks.is_sampled(mask, side, side, cuts, cuts)
    monkeypatch.setattr(blocks, "_MOST", 600)
    assert blocks.is_sampled(mask, side, side, cuts, cuts)
    found = blocks.shades(mask, side, side, cuts, cuts)
    partly = found == blocks.SOME
    assert partly.any() and (exact[partly] == blocks.SOME).all()
    assert (found != blocks.NONE)[exact == blocks.NONE].sum() == 0
