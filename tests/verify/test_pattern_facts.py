"""The table of facts of patterns, against docs/masks.md and the reference, token by token."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmspec.compiler.relations.meaning import definitions
from mmspec.compiler.relations.meaning.definitions import meaning
from mmspec.compiler.relations.meaning.geometry import Clock, volume
from mmspec.expressions.mask import FULL, NONE, Mask, Pattern, parse
from mmspec.expressions.mask_patterns import FREE, PATTERNS, SAME, Rule
from mmspec.verify.faults import FAULTS
from mmspec.verify.lab import masks as lab
from mmspec.verify.lab.masks import Places, evaluate
from mmspec.verify.reference import visible
from mmspec.verify.reference.places import Layout, Token

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "masks.md").read_text(encoding="utf-8")
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
CLIP = volume(3, 3, 4, Clock(Fraction(0), Fraction(10)))
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


def axis_of(token: Token, name: str) -> int:
    """A coordinate of a token by its name; its index among all is `token`."""
    return token.index if name == "token" else token.along(name)


def keeps(rule: Rule, q: int, k: int) -> bool:
    """Whether two coordinates keep a rule: by the words of its docstring."""
    return (
        (rule.before is None or q - k <= rule.before)
        and (rule.after is None or k - q <= rule.after)
        and (rule.step is None or (q - k) % rule.step == 0)
        and (rule.size is None or (q - rule.begin) // rule.size == (k - rule.begin) // rule.size)
    )


@pytest.mark.parametrize("layout", [LINE, VIDEO])
@pytest.mark.parametrize(("name", "text"), CASES)
def test_what_a_pattern_shows_is_what_its_rules_and_first_tokens_say(
    name: str, text: str, layout: Layout
) -> None:
    mask = parse(text)
    assert isinstance(mask, Pattern)
    facts = PATTERNS[name]
    if layout is LINE and facts.by == "grid" and not facts.in_line:
        return
    by_axes = layout is VIDEO and facts.by == "grid"
    axes = ("frame", "row", "column") if by_axes else ("token",)
    for q, k in product([layout.token(i, document=i // 7) for i in range(36)], repeat=2):
        kept = all(keeps(mask.along(axis), axis_of(q, axis), axis_of(k, axis)) for axis in axes)
        shown = visible(mask, q, k)
        assert kept or not shown, (q, k)
        if mask.first is not None:
            assert shown == (q.index < mask.first[0] or k.index < mask.first[1]), (q, k)
        elif facts.by in ("order", "grid"):
            assert shown == kept, (q, k)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("shifted_window(size=2, shift=1)", (True, False, None, {"row", "column"}, False)),
        ("axial(row)", (False, False, "row", {"row"}, False)),
        ("window3d(1)", (False, True, None, {"frame", "row", "column"}, True)),
        ("window2d(1)", (False, False, None, {"row", "column"}, True)),
        ("frame", (False, False, None, {"frame"}, False)),
        ("dilated(step=2, reach=4)", (False, False, None, set(), True)),
        ("causal", (False, False, None, set(), False)),
        ("within(20 ms)", (False, False, None, set(), True)),
        ("block(3)", (False, False, None, set(), False)),
    ],
)
def test_what_follows_from_its_rules(text: str, said: tuple[Any, ...]) -> None:
    one = parse(text)
    assert isinstance(one, Pattern)
    assert (one.is_windows, one.is_deep, one.line, one.axes, one.slides) == said


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
        ("dilated", {"along": lambda given, axis: Rule(given["reach"], given["reach"])}),
        ("window", {"along": lambda given, axis: Rule(given["after"], given["before"])}),
        ("global", {"first": ("", "count")}),
        ("prefix", {"first": ("length", "length")}),
        ("block", {"along": lambda given, axis: Rule(before=given["size"], after=given["size"])}),
        ("axial", {"along": lambda given, axis: SAME if axis == given["axis"] else FREE}),
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
            for layout in (LINE, VIDEO):
                test_what_a_pattern_shows_is_what_its_rules_and_first_tokens_say(name, text, layout)


def held(name: str) -> Places:
    """The same tokens as `tokens`, all of them, as the lab has them."""
    if name == "random":
        return Places(320, 320)
    documents = np.arange(36) // 7
    shape, names = ((3, 3, 4), ("frame", "row", "column")) if name in GRID else ((), ())
    return Places(36, 36, shape, names, Fraction(1, 100), documents)


LAYERS: dict[str, Callable[[str, str], bool]] = {
    "compiler/relations/meaning/definitions.py": lambda name, text: (
        not PATTERNS[name].is_formula or meaning(parse(text), CLIP, CLIP) is not None
    ),
    "verify/reference/masks.py": lambda name, text: any(
        map(any, sees(parse(text), tokens(name), tokens(name)))
    ),
    "verify/lab/masks.py": lambda name, text: bool(evaluate(text, held(name), held(name)).any()),
    "verify/strategies/masks.py": lambda name, text: name in said("strategies"),
    "verify/faults/masks.py": lambda name, text: any(
        re.search(rf"\b{name}\b", fault.spec) for fault in FAULTS
    ),
}
"""What a pattern needs besides its row in mmspec/expressions/mask_patterns.py."""


def said(layer: str) -> str:
    """The file of masks in a layer of `verify/`."""
    return (ROOT / "verify" / layer / "masks.py").read_text(encoding="utf-8")


def lacking(name: str, text: str) -> Iterator[str]:
    """The layers that do not have a pattern."""
    for layer, has in LAYERS.items():
        try:
            there = has(name, text)
        except (KeyError, AssertionError):
            there = False
        if not there:
            yield layer


@pytest.mark.parametrize(("name", "text"), [case for case in CASES if case[0] != "none"])
def test_every_layer_has_every_pattern(name: str, text: str) -> None:
    assert [*lacking(name, text)] == []


def test_a_layer_that_lacks_a_pattern_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(lab._LINES, "strided")
    monkeypatch.delitem(definitions._MEANINGS, "strided")
    assert [*lacking("strided", "strided(3)")] == [
        "compiler/relations/meaning/definitions.py",
        "verify/lab/masks.py",
    ]
