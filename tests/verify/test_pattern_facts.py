"""The table of facts of patterns, against docs/masks.md and the reference, token by token."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from mmspec.expressions.mask import FULL, NONE, Mask, parse
from mmspec.expressions.mask_patterns import PATTERNS
from mmspec.verify.reference import visible
from mmspec.verify.reference.places import Layout, Token

DOCS = (Path(__file__).parents[2] / "docs" / "masks.md").read_text(encoding="utf-8")
EXAMPLES = {
    "full": ["full"],
    "none": ["none"],
    "causal": ["causal"],
    "window": ["window(before=2, after=1)", "window(after=3)"],
    "dilated": ["dilated(step=2, reach=4)"],
    "block": ["block(3)"],
    "global": ["global(2)"],
    "strided": ["strided(3)"],
    "prefix": ["prefix(5)"],
    "random": ["random(blocks=1, seed=3)"],
    "window2d": ["window2d(1)"],
    "window3d": ["window3d(1)"],
    "shifted_window": ["shifted_window(size=2, shift=1)"],
    "axial": ["axial(row)", "axial(column)", "axial(frame)"],
    "frame": ["frame"],
    "within": ["within(20 ms)"],
    "document": ["document"],
}
CASES = [(name, text) for name, texts in EXAMPLES.items() for text in texts]
GRID = ("window2d", "window3d", "axial", "frame")
VIDEO = Layout(36, (("frame", 3), ("row", 3), ("column", 4)), Fraction(1, 100))
LINE = Layout(36, period=Fraction(1, 100))
LONG = Layout(320, period=Fraction(1, 100))


def sees(mask: Mask, queries: list[Token], keys: list[Token]) -> list[list[bool]]:
    """Row by row."""
    return [[visible(mask, q, k) for k in keys] for q in queries]


def tokens(name: str) -> list[Token]:
    """Tokens between which a pattern of that name is neither everything nor nothing."""
    if name == "random":
        return [LONG.token(i) for i in range(0, 320, 16)]
    layout = VIDEO if name in GRID else LINE
    return [layout.token(i, document=i // 7) for i in range(36)]


def where(name: str) -> str:
    """The last column of a pattern in the table of the docs."""
    rows = [row for row in DOCS.splitlines() if re.match(rf"\| [^|]*`{name}\b", row)]
    (row,) = (row for row in rows if row.count(" | ") == 2)
    return row.rstrip(" |").rpartition(" | ")[2]


@pytest.mark.parametrize("name", PATTERNS)
def test_what_a_pattern_goes_by_is_what_the_docs_ask_of_its_segments(name: str) -> None:
    """`any` segments: those that compare nothing; a table: those that are no formula."""
    facts, asked = PATTERNS[name], where(name)
    assert (facts.looks_at != "both") == asked.startswith("any")
    assert facts.is_formula == ("table" not in asked)
    assert (facts.by == "grid") == ("grids" in asked or "videos" in asked)
    assert (facts.by == "clock") == ("clocks" in asked)
    assert facts.is_packed == ("packed" in asked)


@pytest.mark.parametrize(("name", "text"), CASES)
def test_what_a_pattern_looks_at(name: str, text: str) -> None:
    rows = sees(parse(text), tokens(name), tokens(name))
    of_key = all(row == rows[0] for row in rows)
    constant = of_key and len(set(rows[0])) == 1
    found = "neither" if constant else "key" if of_key else "both"
    assert found == PATTERNS[name].looks_at.replace("each", "both")


@pytest.mark.parametrize("name", PATTERNS)
def test_whether_a_pattern_moves_with_both_tokens(name: str) -> None:
    """Whatever its arguments, and all of one document: which it is moves with the tokens."""
    layout = LONG if name == "random" else VIDEO if name in GRID else LINE
    step = layout.most // 36 * 2 - 1
    same = all(
        visible(parse(text), layout.token(i), layout.token(j))
        == visible(parse(text), layout.token(i + step), layout.token(j + step))
        for text in EXAMPLES[name]
        for i, j in product(range(0, layout.most - step, step), repeat=2)
    )
    assert same == PATTERNS[name].moves


ON_BOTH = [
    (name, text) for name, text in CASES if name not in (*GRID, "random", "within", "document")
]
"""Patterns that mean something on a line as in a grid."""


@pytest.mark.parametrize(("name", "text"), ON_BOTH)
def test_what_goes_by_order_takes_a_grid_for_a_line(name: str, text: str) -> None:
    flat, grid = ([layout.token(i) for i in range(36)] for layout in (LINE, VIDEO))
    same = sees(parse(text), flat, flat) == sees(parse(text), grid, grid)
    assert same == (PATTERNS[name].by != "grid")


@pytest.mark.parametrize("name", PATTERNS)
def test_distances_suffice_where_no_other_thing_of_two_tokens_counts(name: str) -> None:
    """Of tokens that have nothing but an index."""
    expected = name in ("full", "none", "causal", "window", "dilated", "strided")
    assert PATTERNS[name].of_distance == expected


def test_constants_are_what_their_names_say() -> None:
    assert [visible(mask, 0, 9) for mask in (FULL, NONE)] == [True, False]
    assert [one.name for one in (FULL, NONE)] == [
        n for n in PATTERNS if PATTERNS[n].by == "nothing"
    ]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("block", {"moves": True}),
        ("causal", {"moves": False}),
        ("prefix", {"looks_at": "each"}),
        ("global", {"looks_at": "key"}),
        ("global", {"looks_at": "both"}),
        ("shifted_window", {"by": "order"}),
        ("within", {"by": "order"}),
        ("document", {"by": "draws"}),
    ],
)
def test_a_wrong_fact_is_seen(
    name: str, wrong: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PATTERNS, name, replace(PATTERNS[name], **wrong))
    with pytest.raises(AssertionError):
        test_what_a_pattern_goes_by_is_what_the_docs_ask_of_its_segments(name)
        test_whether_a_pattern_moves_with_both_tokens(name)
        for text in EXAMPLES[name]:
            test_what_a_pattern_looks_at(name, text)
