"""Emitted masks of videos against the formulas of docs/masks.md, token by token."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import product

import pytest
import torch

from mmspec.compiler import ir
from mmspec.compiler.emit import masks as emitted
from mmspec.compiler.relations.meaning.geometry import Clock, Geometry, grid, line, volume
from mmspec.compiler.specialise.tidy import tidy
from mmspec.expressions import mask as masks

ROWS, COLUMNS, FRAMES = 2, 3, 5
SECONDS = {"clip": Fraction(2, 25), "audio": Fraction(1, 100), "other": Fraction(1, 30)}
"""From one frame of tokens to the next, and from one token of audio."""

Place = tuple[int, int, int]
"""Frame, row and column; of audio: its index, 0, 0; of an image: 0, row, column."""


def clock(name: str) -> Clock:
    """Of a segment, in milliseconds."""
    return Clock(Fraction(0), 1000 * SECONDS[name])


GEOMETRIES: dict[str, Geometry] = {
    "clip": volume("n_clip", ROWS, COLUMNS, clock("clip")),
    "other": volume("n_other", ROWS, COLUMNS, clock("other")),
    "image": grid(ROWS, COLUMNS),
    "audio": line("n_audio", clock("audio")),
}
PLACES: dict[str, list[Place]] = {
    "clip": list(product(range(FRAMES), range(ROWS), range(COLUMNS))),
    "other": list(product(range(FRAMES), range(ROWS), range(COLUMNS))),
    "image": list(product(range(1), range(ROWS), range(COLUMNS))),
    "audio": [(i, 0, 0) for i in range(23)],
}


def seen(text: str, query: str, key: str) -> list[list[bool]]:
    """What the emitted mask function of one pair of segments shows."""
    sides = [
        ir.Segment(name, ir.Tokens(name, 99), GEOMETRIES[name], name, rotary=False, optional=False)
        for name in (query, key)
    ]
    pairs = ((query, key, masks.parse(text)),)
    source = tidy(emitted.function("m", "stream s", pairs, ((sides[0],), (sides[1],))))
    found: dict[str, Callable[..., torch.Tensor]] = {"torch": torch, "Tensor": torch.Tensor}  # type: ignore[dict-item]
    exec(compile(source, "<mask>", "exec"), found)
    counts = [len(PLACES[name]) for name in dict.fromkeys((query, key))]
    rows: list[list[bool]] = found["m"](*counts, torch.device("cpu")).tolist()
    return rows


def apart(q: Place, k: Place) -> Place:
    """How far from one another, along each axis."""
    return abs(q[0] - k[0]), abs(q[1] - k[1]), abs(q[2] - k[2])


@pytest.mark.parametrize(
    ("text", "query", "key", "formula"),
    [
        ("window3d(1)", "clip", "clip", lambda q, k: max(apart(q, k)) <= 1),
        ("window3d(2)", "clip", "other", lambda q, k: max(apart(q, k)) <= 2),
        ("frame", "clip", "clip", lambda q, k: q[0] == k[0]),
        ("axial(frame)", "clip", "clip", lambda q, k: q[1:] == k[1:]),
        ("axial(row)", "clip", "clip", lambda q, k: (q[0], q[2]) == (k[0], k[2])),
        ("axial(column)", "clip", "image", lambda q, k: q[1] == k[1]),
        ("window2d(1)", "clip", "clip", lambda q, k: q[0] == k[0] and max(apart(q, k)) <= 1),
        ("window2d(1)", "clip", "image", lambda q, k: max(apart(q, k)[1:]) <= 1),
        (
            "shifted_window(size=2, shift=1)",
            "clip",
            "clip",
            lambda q, k: (
                q[0] == k[0]
                and (q[1] - 1) // 2 == (k[1] - 1) // 2
                and (q[2] - 1) // 2 == (k[2] - 1) // 2
            ),
        ),
        ("causal", "clip", "clip", lambda q, k: k <= q),
        (
            "frame | global(count=2)",
            "clip",
            "clip",
            lambda q, k: q[0] == k[0] or min(q, k) < (0, 0, 2),
        ),
    ],
)
def test_patterns(text: str, query: str, key: str, formula: Callable[[Place, Place], bool]) -> None:
    expected = [[formula(q, k) for k in PLACES[key]] for q in PLACES[query]]
    assert seen(text, query, key) == expected
    assert len({cell for row in expected for cell in row}) == 2, "some pairs are seen, some not"


@pytest.mark.parametrize(
    ("query", "key"), [("clip", "audio"), ("audio", "clip"), ("clip", "other"), ("clip", "clip")]
)
@pytest.mark.parametrize("milliseconds", [0, 30, 79, 80, 120])
def test_times_are_those_of_frames(query: str, key: str, milliseconds: int) -> None:
    reach = Fraction(milliseconds, 1000)
    expected = [
        [abs(q[0] * SECONDS[query] - k[0] * SECONDS[key]) <= reach for k in PLACES[key]]
        for q in PLACES[query]
    ]
    assert seen(f"within({milliseconds} ms)", query, key) == expected


def test_lengths_are_those_of_frames() -> None:
    assert GEOMETRIES["clip"].lengths(4 * ROWS * COLUMNS) == {"n_clip": 4}
    assert GEOMETRIES["audio"].lengths(17) == {"n_audio": 17}
    assert GEOMETRIES["image"].lengths(ROWS * COLUMNS) == {}
    for name, geometry in GEOMETRIES.items():
        assert geometry.tokens(geometry.lengths(len(PLACES[name]))) == len(PLACES[name])
