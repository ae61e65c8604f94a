"""The pictures of docs/masks.md show what its formulas say, and what relations hold."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import pytest
from naive_masks import sees, tokens

from mmspec.compiler.relations.loops.schedule import schedule
from mmspec.compiler.relations.meaning.geometry import Clock, Geometry, grid, line, volume
from mmspec.compiler.relations.meaning.relation import relation
from mmspec.expressions.mask import parse
from mmspec.expressions.mask_patterns import PATTERNS

TEXT = (Path(__file__).parents[3] / "docs" / "masks.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```\n(.*?)```", TEXT, re.DOTALL)
LINES = re.findall(r"^(\S.*?) {2,}([#.]{24})$", "\n".join(BLOCKS), re.MULTILINE)
VIDEO, HOPS = line(8, Clock(Fraction(0), Fraction(40))), line(24, Clock(Fraction(0), Fraction(10)))


def keys(mask: str, query: Geometry, key: Geometry, place: int) -> str:
    """The keys of one query, by the formulas; relations must say the same."""
    parsed, asking = parse(mask), tokens(query, {})[place]
    shown = "".join("#" if sees(parsed, asking, each) else "." for each in tokens(key, {}))
    found = relation(parsed, query, key)
    drawn = "".join("#" if found.contains(place, k, {}) else "." for k in range(len(shown)))
    assert drawn == shown
    return shown


@pytest.mark.parametrize(("mask", "picture"), LINES)
def test_lines(mask: str, picture: str) -> None:
    timed = mask.startswith("within")
    query, key, place = (VIDEO, HOPS, 3) if timed else (line(24), line(24), 10)
    assert keys(mask, query, key, place) == picture


def test_images() -> None:
    (block,) = (b for b in BLOCKS if "axial(axis=row)" in b)
    head, *rows = block.splitlines()
    masks = re.split(r" {2,}", head)
    pictures = ["".join(parts) for parts in zip(*map(str.split, rows), strict=True)]
    for mask, picture in zip(masks, pictures, strict=True):
        assert keys(mask, grid(6, 9), grid(6, 9), 3 * 9 + 4) == picture


def test_videos() -> None:
    (block,) = (b for b in BLOCKS if "window3d" in b)
    for part in block.split("\n\n"):
        mask = re.split(r" {2,}", part)[0]
        rows = [re.findall(r"[#.]{5}", row) for row in part.splitlines()]
        picture = "".join("".join(row[frame] for row in rows) for frame in range(3))
        assert keys(mask, volume(3, 3, 5), volume(3, 3, 5), 15 + 5 + 2) == picture


def test_every_pattern_has_its_formula_and_but_tables_its_picture() -> None:
    assert all(f"`{name}" in TEXT for name in PATTERNS)
    pictured = " ".join(BLOCKS)
    assert not [n for n in PATTERNS if n not in pictured and n not in ("random", "document")]


def test_the_schedule_that_is_shown() -> None:
    found = relation(parse("window(before=511)"), line("n"), line("n"))
    assert schedule(found, 128, 64).python() in TEXT
