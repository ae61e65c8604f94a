"""A stream of many segments with a mask of its own for each pair: counted, compiled, tuned."""

from __future__ import annotations

import io
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import mmspec
from mmspec.compiler import driver, ir
from mmspec.compiler.emit import sparse
from mmspec.compiler.lower.lower import lower
from mmspec.compiler.relations.counting.counting import count
from mmspec.compiler.relations.counting.summation import TooManyPiecesError
from mmspec.compiler.relations.meaning.geometry import line
from mmspec.compiler.relations.meaning.relation import relation
from mmspec.expressions.mask import parse
from mmspec.schema.validate import validate
from mmspec.text import parse as parse_text
from mmspec.text import read
from mmspec.verify.analyze import analyze
from mmspec.verify.costs import visible_pairs
from mmspec.verify.costs.related import related
from mmspec.verify.tune.report import tune

SEGMENTS, TOKENS = 9, 60


def windows() -> dict[tuple[int, int], tuple[int, int]]:
    """Of each pair how far it sees back and ahead, no two the same."""
    pairs = product(range(SEGMENTS), range(SEGMENTS))
    return {pair: (at, (7 * at) % 64) for at, pair in enumerate(pairs)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Its spec."""
    names = [f"m{at}" for at in range(SEGMENTS)]
    text = "mmspec: 1\nname: many\nmodalities:\n"
    for name in names:
        text += f"  {name}: {{kind: tokens, vocab: 8, length: {{max: {TOKENS}}}}}\n"
    text += f"streams:\n  s:\n    from: [{', '.join(names)}]\n    depth: 1\n    width: 8\n"
    text += "    heads: 2\n    attention:\n"
    for (q, k), (before, after) in windows().items():
        text += f"      m{q} -> m{k}: window(before={before}, after={after})\n"
    text += "heads: {y: {from: s, kind: classifier, classes: 3}}\n"
    (tmp_path / "many.yaml").write_text(text)
    return tmp_path / "many.yaml"


@pytest.fixture
def plan(path: Path) -> ir.Plan:
    """Its Plan."""
    return mmspec.plan(path)


def test_pairs_are_counted_and_named(plan: ir.Plan) -> None:
    apart = np.subtract.outer(np.arange(TOKENS), np.arange(TOKENS))
    visible = sum(int(((apart <= b) & (apart >= -a)).sum()) for b, a in windows().values())
    pairs = analyze(plan).as_dict()["pairs"]["s"]
    assert pairs["at_longest"] == visible
    assert "visible(m0, m1, window(before=1, after=7))" in pairs["closed_form"]
    assert pairs["growth"] == f"O({' + '.join(f'm{at}' for at in range(SEGMENTS))})"
    assert pairs["executed"]["at_longest"] == 64 * 64 * SEGMENTS**2


def test_more_masks_than_kernels_hold_are_computed_densely(path: Path) -> None:
    """`tiles` asks for loops all the same: that is not written here, for it takes long."""
    files = driver.emit(validate(read(path))).files
    assert "kernels.py" not in files
    assert "attn_mask=mask" in files["attention.py"]


def test_changes_are_sought_for_the_longest(plan: ir.Plan) -> None:
    text = io.StringIO()
    tune(plan, {}).render(Console(file=text, width=100))
    assert "the spec has many masks: changes were sought for 16 of these" in text.getvalue()
    assert "more than 64 masks between segments" in text.getvalue()


@pytest.mark.parametrize(
    ("mask", "shown"),
    [
        ("dilated(step=5, reach=20) & shifted_window(size=16, shift=3)", "steps & windows"),
        ("~block(size=16) & strided(step=5)", "strided & ~blocks"),
        ("global(count=4) | dilated(step=5, reach=20)", "first | steps"),
        ("prefix(length=9) & ~strided(step=5)", "prefix & ~strided"),
    ],
)
def test_steps_and_blocks_between_two_segments_are_counted(mask: str, shown: str) -> None:
    """By the formulas of docs/masks.md, written out."""
    q, k = np.arange(37)[:, None], np.arange(51)
    known = {
        "steps": (abs(q - k) <= 20) & ((q - k) % 5 == 0),
        "windows": (q - 3) // 16 == (k - 3) // 16,
        "strided": (q - k) % 5 == 0,
        "blocks": q // 16 == k // 16,
        "first": (q < 4) | (k < 4),
        "prefix": (k < 9) & (q >= 0),
    }
    one, sign, other = shown.split()
    right = ~known[other[1:]] if other[0] == "~" else known[other]
    pairs = known[one] & right if sign == "&" else known[one] | right
    segments = [
        ir.Segment(name, ir.Tokens(name, 64), line(f"n_{name}"), name, False, False)
        for name in ("a", "b")
    ]
    found = related(segments[0], segments[1], parse(mask))
    assert found.evaluate({"a": 37, "b": 51}) == pairs.sum()


def test_a_count_of_too_many_pieces_is_given_up() -> None:
    found = relation(parse("dilated(step=7, reach=90)"), line("n"), line("n"))
    with pytest.raises(TooManyPiecesError, match="more than 3 pieces"):
        count(found.visible.wrap(), found.symbols, 3)
    every = count(found.visible.wrap(), found.symbols, 999)
    assert every.at({"n": 100}) == sum(100 - abs(7 * step) for step in range(-12, 13))


MANY = [(3 * n + 5, 7 * n + 11) for n in range(16)]
"""Windows, each within blocks."""


@pytest.fixture
def nested() -> ir.Plan:
    """A stream whose mask is all of them, of which each more would double a sum of cells."""
    mask = " | ".join(f"(window(before={n}) & block({size}))" for n, size in MANY)
    text = (
        "mmspec: 1\nname: nested\nmodalities: {t: {kind: tokens, vocab: 8, length: {max: 512}}}\n"
    )
    text += f"streams: {{s: {{from: t, depth: 1, width: 8, heads: 2, attention: '{mask}'}}}}\n"
    return lower(
        validate(parse_text(f"{text}heads: {{y: {{from: s, kind: classifier, classes: 3}}}}\n"))
    )


def test_a_mask_of_many_patterns_is_counted_in_bounded_time(nested: ir.Plan) -> None:
    apart, at = np.subtract.outer(np.arange(512), np.arange(512)), np.arange(512)
    seen = np.zeros((512, 512), dtype=bool)
    for before, size in MANY:
        seen |= (apart >= 0) & (apart <= before) & np.equal.outer(at // size, at // size)
    pairs = visible_pairs(nested, "s")
    assert pairs.evaluate({"t": 512}) == int(seen.sum())


def test_a_mask_of_more_patterns_than_isl_takes_has_no_loops(nested: ir.Plan) -> None:
    (site,) = nested.sites()
    assert not sparse.passes_over(site, "tiles")
