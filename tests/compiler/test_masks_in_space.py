"""Emitted masks of grids, videos, times and chance against docs/masks.md, pair by pair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mmspec.compiler import ir
from mmspec.compiler.emit import masks as emitted
from mmspec.compiler.parts.attention import by_head, document_ids
from mmspec.compiler.parts.drawn import mixed, random_blocks
from mmspec.compiler.relations.meaning.geometry import Clock, Geometry, grid, line, volume
from mmspec.compiler.specialise.tidy import tidy
from mmspec.expressions.mask import And, Mask, Not, Or, Pattern, simplify

WORD = 2**64


@dataclass(frozen=True)
class Token:
    """A token by its index and coordinates, and when it happens (seconds)."""

    index: int
    at: dict[str, int]
    time: Fraction


def tokens(geometry: Geometry, count: int) -> list[Token]:
    """The first tokens of a segment."""
    inner = [axis.size for axis in geometry.axes[1:] if isinstance(axis.size, int)]
    clock = geometry.clock or Clock(Fraction(0), Fraction(1))
    found = []
    for index in range(count):
        places = [index // prod(inner)]
        places += [index // prod(inner[i + 1 :]) % size for i, size in enumerate(inner)]
        names = (axis.name for axis in geometry.axes)
        time = (clock.offset + places[0] * clock.period) / 1000
        found.append(Token(index, dict(zip(names, places, strict=True)), time))
    return found


def sees(mask: Mask, q: Token, k: Token) -> bool:
    """Whether a query sees a key, by the formulas of docs/masks.md."""
    if isinstance(mask, Not):
        return not sees(mask.operand, q, k)
    if isinstance(mask, And):
        return sees(mask.left, q, k) and sees(mask.right, q, k)
    if isinstance(mask, Or):
        return sees(mask.left, q, k) or sees(mask.right, q, k)
    return FORMULAS[mask.name](dict(mask.arguments), q, k)


def near(names: tuple[str, ...]) -> Callable[[dict[str, Any], Token, Token], bool]:
    """|q.x - k.x| <= radius for those coordinates; the others that both have are the same."""

    def formula(given: dict[str, Any], q: Token, k: Token) -> bool:
        apart = {name: abs(q.at[name] - k.at[name]) for name in q.at if name in k.at}
        return all(d <= (given["radius"] if n in names else 0) for n, d in apart.items())

    return formula


def shifted(given: dict[str, Any], q: Token, k: Token) -> bool:
    """The same window along every axis but the frames, which are the same."""

    def part(name: str, x: int) -> int:
        return x if name == "frame" else int((x - given["shift"]) // given["size"])

    return all(part(name, q.at[name]) == part(name, k.at[name]) for name in q.at)


FORMULAS: dict[str, Callable[[dict[str, Any], Token, Token], bool]] = {
    "causal": lambda given, q, k: k.index <= q.index,
    "window": lambda given, q, k: -given["after"] <= q.index - k.index <= given["before"],
    "global": lambda given, q, k: q.index < given["count"] or k.index < given["count"],
    "window2d": near(("row", "column")),
    "window3d": near(("frame", "row", "column")),
    "shifted_window": shifted,
    "axial": lambda given, q, k: all(q.at[n] == k.at[n] for n in q.at if n != given["axis"]),
    "frame": lambda given, q, k: q.at["frame"] == k.at["frame"],
    "within": lambda given, q, k: abs(q.time - k.time) <= given["duration"],
}


def pattern(name: str, **arguments: Any) -> Pattern:
    """A pattern with its arguments."""
    return Pattern(name, tuple(arguments.items()))


def expressions(leaves: list[st.SearchStrategy[Pattern]]) -> st.SearchStrategy[Mask]:
    """Masks of a few patterns."""
    return st.recursive(
        st.one_of(leaves),
        lambda inner: st.one_of(
            st.builds(Not, inner), st.builds(And, inner, inner), st.builds(Or, inner, inner)
        ),
        max_leaves=5,
    )


FEW = st.integers(1, 4)
ORDER = [
    st.just(pattern("causal")),
    st.builds(lambda b, a: pattern("window", before=b, after=a), st.integers(0, 9), FEW),
    st.builds(lambda n: pattern("global", count=n), FEW),
]
GRID = [
    st.builds(lambda r: pattern("window2d", radius=r), FEW),
    st.builds(lambda n, s: pattern("shifted_window", size=n, shift=s), FEW, st.integers(0, 6)),
    st.builds(lambda axis: pattern("axial", axis=axis), st.sampled_from(["row", "column"])),
]
VIDEO = [
    *GRID,
    st.builds(lambda r: pattern("window3d", radius=r), FEW),
    st.just(pattern("axial", axis="frame")),
    st.just(pattern("frame")),
]
TIME = [st.builds(lambda n: pattern("within", duration=Fraction(n, 1000)), st.integers(0, 300))]


def segment(name: str, geometry: Geometry, most: int = 999) -> ir.Segment:
    """A segment of tokens that stand so."""
    return ir.Segment(name, ir.Tokens(None, most), geometry, name, rotary=False, optional=False)


def run(mask: Mask, query: ir.Segment, key: ir.Segment, counts: dict[str, int]) -> Tensor:
    """What the emitted function of a mask between two segments returns."""
    pairs = ((query.name, key.name, simplify(mask)),)
    source = tidy(emitted.function("m", "fusion f", pairs, ((query,), (key,))))
    found: dict[str, Any] = {"torch": torch, "Tensor": Tensor, "random_blocks": random_blocks}
    exec(compile(source, "<mask>", "exec"), found)
    sizes = [counts[name] for name in emitted.parameters((query,), (key,))]
    shown: Tensor = found["m"](*sizes, torch.device("cpu"))
    return shown


def check(mask: Mask, query: ir.Segment, key: ir.Segment, counts: dict[str, int]) -> None:
    """Assert that the emitted function shows exactly the pairs of the formulas."""
    sides = [tokens(side.geometry, counts[side.name]) for side in (query, key)]
    expected = [[sees(mask, q, k) for k in sides[1]] for q in sides[0]]
    shown = run(mask, query, key, counts)
    assert shown.tolist() == expected, mask


@settings(max_examples=150)
@given(expressions(ORDER + GRID), st.integers(1, 7), st.integers(1, 7), st.integers(1, 7))
def test_images(mask: Mask, rows: int, others: int, columns: int) -> None:
    """Of an image with itself, and with another of as many columns."""
    photo, scan = segment("photo", grid(rows, columns)), segment("scan", grid(others, columns))
    counts = {"photo": rows * columns, "scan": others * columns}
    check(mask, photo, photo, counts)
    check(mask, photo, scan, counts)


@settings(max_examples=60)
@given(expressions(GRID), st.integers(1, 5), st.integers(1, 5))
def test_images_of_different_widths(mask: Mask, wide: int, narrow: int) -> None:
    photo, scan = segment("photo", grid(3, wide)), segment("scan", grid(4, narrow))
    check(mask, photo, scan, {"photo": 3 * wide, "scan": 4 * narrow})


@settings(max_examples=100)
@given(expressions(VIDEO), st.integers(0, 4), st.integers(1, 4), st.integers(1, 4))
def test_videos(mask: Mask, frames: int, rows: int, columns: int) -> None:
    video = segment("video", volume("f", rows, columns))
    check(mask, video, video, {"video": frames * rows * columns})


PERIODS = [Fraction(10), Fraction(40), Fraction(125, 2), Fraction(20, 3), Fraction(80)]


@settings(max_examples=150)
@given(
    expressions(TIME),
    st.tuples(st.sampled_from(PERIODS), st.sampled_from(PERIODS)),
    st.tuples(st.integers(0, 9), st.integers(0, 60)),
    st.tuples(st.integers(0, 15), st.integers(0, 15)),
)
def test_times(
    mask: Mask,
    periods: tuple[Fraction, Fraction],
    offsets: tuple[int, int],
    lengths: tuple[int, int],
) -> None:
    clocks = [Clock(Fraction(at, 3), every) for at, every in zip(offsets, periods, strict=True)]
    voice, pulse = segment("voice", line("n", clocks[0])), segment("pulse", line("m", clocks[1]))
    check(mask, voice, pulse, dict(zip(("voice", "pulse"), lengths, strict=True)))


def test_a_duration_includes_its_ends() -> None:
    mask = pattern("within", duration=Fraction(3, 100))
    voice = segment("voice", line("n", Clock(Fraction(0), Fraction(10))))
    assert run(mask, voice, voice, {"voice": 9}).sum(1).tolist() == [4, 5, 6, 7, 7, 7, 6, 5, 4]


def split_mix(state: int) -> int:
    """The output of SplitMix64 at a state."""
    z = (state + 0x9E3779B97F4A7C15) % WORD
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % WORD
    z = (z ^ z >> 27) * 0x94D049BB133111EB % WORD
    return z ^ z >> 31


def drawn(blocks: int, seed: int, row: int, there: int) -> set[int]:
    """The blocks of keys that a block of queries sees, by Floyd's way."""
    if blocks >= there:
        return set(range(there))
    taken: set[int] = set()
    for t in range(blocks):
        top = there - blocks + t
        x = split_mix(split_mix(split_mix(seed) ^ row) ^ t) % (top + 1)
        taken.add(top if x in taken else x)
    return taken


@settings(max_examples=60)
@given(
    st.integers(1, 4),
    st.one_of(st.integers(0, 9), st.integers(0, 2**31 - 1)),
    st.tuples(st.integers(0, 300), st.integers(0, 400)),
    st.integers(400, 900),
)
def test_random_blocks(blocks: int, seed: int, sizes: tuple[int, int], most: int) -> None:
    mask = pattern("random", blocks=blocks, seed=seed)
    query, key = segment("text", line("n")), segment("audio", line("m"), most)
    shown = run(mask, query, key, {"text": sizes[0], "audio": sizes[1]})
    expected = torch.zeros(sizes, dtype=torch.bool)
    for row in range(-(-sizes[0] // 64)):
        for column in drawn(blocks, seed, row, -(-most // 64)):
            expected[row * 64 : (row + 1) * 64, column * 64 : (column + 1) * 64] = True
    assert torch.equal(shown, expected)


def test_longer_sequences_draw_the_same() -> None:
    mask, text = pattern("random", blocks=2, seed=3), segment("text", line("n"), 640)
    long = run(mask, text, text, {"text": 640})
    for length in (1, 63, 64, 65, 200):
        assert torch.equal(run(mask, text, text, {"text": length}), long[:length, :length])


@given(st.integers(-(2**63), 2**63 - 1))
def test_mixed_is_split_mix(state: int) -> None:
    assert int(mixed(torch.tensor(state))) % WORD == split_mix(state % WORD)


@pytest.mark.parametrize("rows", [(), (3,)])
def test_by_head_repeats_the_masks_of_groups(rows: tuple[int, ...]) -> None:
    one, other = torch.rand(*rows, 4, 5) < 0.5, torch.rand(*rows, 4, 5) < 0.5
    shown = by_head((one, other), (1, 3))
    assert shown.shape == (*rows, 4, 4, 5)
    for head in range(4):
        assert torch.equal(shown.select(-3, head), one if head == 0 else other)


def test_documents_follow_their_ends() -> None:
    ids = document_ids([[3, 5], [2]], 6)
    assert ids.tolist() == [[0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 1, 1]]


def test_pictures_of_the_docs() -> None:
    """Counted by hand: a corner, a border and the middle of 5 x 7."""
    photo = segment("photo", grid(5, 7))
    for mask, counts in (
        (pattern("window2d", radius=1), {0: 4, 3: 6, 17: 9}),
        (pattern("axial", axis="row"), {0: 5, 17: 5}),
        (pattern("axial", axis="column"), {0: 7, 17: 7}),
        (pattern("shifted_window", size=3, shift=1), {0: 1, 3: 3, 17: 9, 34: 3}),
    ):
        rows = run(mask, photo, photo, {"photo": 35}).sum(1)
        assert {place: int(rows[place]) for place in counts} == counts, mask
