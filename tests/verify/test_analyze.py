"""The report of `mmspec analyze`: its figures are the costs', as JSON and as text."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy
from cost_specs import SHIPPED
from rich.console import Console
from sympy.parsing.sympy_parser import parse_expr
from test_costs_visible import mask_blocks

import mmspec
from mmspec.compiler import ir
from mmspec.expressions.mask import Pattern
from mmspec.verify import analyze as analyzing
from mmspec.verify import costs as costing
from mmspec.verify.analyze import analyze, human


def plan(name: str) -> ir.Plan:
    """The Plan of a shipped spec."""
    return mmspec.plan(next(path for path in SHIPPED if path.stem == name))


def value(figure: dict[str, Any], form: str, at: dict[str, int]) -> float:
    """A figure's closed form, read back by sympy."""
    names = {name: sympy.Symbol(name) for name in at}
    found = parse_expr(form, local_dict=names).subs([(names[name], n) for name, n in at.items()])
    assert found.is_Integer or figure["at_longest"] != int(figure["at_longest"])
    return float(found)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_figures_survive_json_and_closed_forms_give_them(path: Any) -> None:
    it = mmspec.plan(path)
    report = json.loads(json.dumps(analyze(it).as_dict()))
    at = costing.tokens(it, {})
    totals = report["totals"]
    assert totals["parameters"] == costing.parameters(it)
    assert totals["flops_dense"]["at_longest"] == costing.flops(it, {})
    assert totals["flops_useful"]["at_longest"] == costing.flops(it, {}, useful=True)
    figures = [totals[name] for name in ("flops_dense", "flops_useful", "activation_bytes")]
    for figure in (*figures, *report["pairs"].values()):
        assert value(figure, figure["closed_form"], at) == figure["at_longest"]
        if "long_form" in figure:
            long = figure["long_form"]
            far = {name: max(n, long["lengths_from"]) for name, n in at.items() if name != "B"}
            if far.items() <= at.items():
                assert value(figure, long["closed_form"], at) == figure["at_longest"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_parts_and_groups_add_up(path: Any) -> None:
    report = analyze(mmspec.plan(path)).as_dict()
    for figure in ("flops_dense", "flops_useful", "activation_bytes"):
        parts = sum(part[figure]["at_longest"] for part in report["parts"])
        grouped = sum(
            group[figure]["at_longest"]
            for kind in ("streams", "heads")
            for group in report[kind].values()
        )
        assert parts == grouped == report["totals"][figure]["at_longest"]
    parameters = sum(part["parameters"] for part in report["parts"])
    assert parameters == report["totals"]["parameters"]


def test_groups_name_what_the_spec_names() -> None:
    report = analyze(plan("experts_top2")).as_dict()
    assert list(report["streams"]) == ["text", "late"]
    assert list(report["experts"]) == ["text", "late"]
    assert list(report["heads"]) == ["next_head"]
    assert report["experts"]["text"]["parameters"] == 2 * (8 * 2 * 48 * 96 + 48 * 8)
    fused = analyze(plan("transformer_fusion")).as_dict()["fusions"]["joint"]
    block = 4 * 32 + (32 * 96 + 96) + (32 * 32 + 32) + (32 * 128 + 128) + (128 * 32 + 32)
    assert fused["parameters"] == 3 * 32 + 2 * block


def test_growth_of_the_gated_spec() -> None:
    totals = analyze(plan("gated")).as_dict()["totals"]
    assert totals["flops_dense"]["growth"] == "O(B*text^2)"
    assert totals["activation_bytes"]["growth"] == "O(B*text)"


def test_the_text_holds_exact_and_readable_figures() -> None:
    console = Console(file=io.StringIO(), width=120, color_system=None)
    analyze(plan("gated")).render(console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "333,001" in text
    assert "22,840,448 (22.8 M), O(B*text^2): 768*B*text**2 + 303104*B*text + 6521984*B" in text
    assert "pairs(text)      412 of 4,096 in tiles, O(text): 9*text - 20  (lengths from 4)" in text
    ponder = Console(file=io.StringIO(), width=120, color_system=None)
    analyze(plan("ponder")).render(ponder)
    assert isinstance(ponder.file, io.StringIO)
    assert "FLOPs expected   1,681,210" in ponder.file.getvalue()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_of_any_width_cuts_no_line(path: Any, width: int) -> None:
    screen = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    analyze(mmspec.plan(path)).render(screen)
    assert isinstance(screen.file, io.StringIO)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in screen.file.getvalue().splitlines()]
    assert max(map(len, lines)) <= width
    assert not [line for line in lines if line.endswith(" ")]
    words = " ".join(lines).split()
    assert {stack.stream for stack in mmspec.plan(path).stacks()} <= set(words)
    assert {"parameters", "dense", "useful", "kept", "all"} <= set(words)


def test_numbers_for_people() -> None:
    numbers = (0, 999, 1000, 55_346_304, 124_439_808, 10**15)
    assert [human(n) for n in numbers] == ["0", "999", "1 k", "55.3 M", "124 M", "1 P"]
    assert human(1_987_584, "B") == "1.99 MB"
    assert human(12, "B") == "12 B"


PATTERNS = """
mmspec: 1
name: patterns
modalities:
  text: {kind: tokens, vocab: 31, length: {max: 150}}
  image: {kind: image, size: [24, 40], channels: 1, patch: 4}
  audio: {kind: audio, features: 3, rate: 25 Hz, length: {max: 90}}
  motion: {kind: series, features: 3, rate: 10 Hz, length: {max: 36}}
streams:
  text:
    {from: text, depth: 2, width: 8, heads: 4, attention: [
    {heads: 3, mask: causal & strided(3)},
    {heads: 1, mask: "random(blocks=1, seed=4) | prefix(2)"}]}
  image:
    {from: image, depth: 1, width: 8, heads: 4, attention: [
    {heads: 2, mask: window2d(1) | axial(row)},
    {heads: 2, mask: "shifted_window(size=4, shift=2)"}]}
  heard:
    from: {fusion: cross-attention, of: [audio, motion], attention: {audio -> motion: within(1 s)}}
    {rest}
  both:
    from: [audio, motion]
    depth: 1
    width: 8
    heads: 4
    attention: {audio -> audio: within(200 ms), audio -> motion: within(500 ms)}
heads:
  what: {from: text, kind: classifier, classes: 3}
  where: {from: image, kind: classifier, classes: 3}
  when: {from: heard, kind: classifier, classes: 3}
  which: {from: both, kind: classifier, classes: 3}
""".replace("{rest}", "depth: 1\n    width: 8\n    heads: 4\n    attention: window(before=3)")


def test_every_kind_of_mask_is_analyzed(tmp_path: Path) -> None:
    """Figures at the longest lengths by hand; text and JSON agree."""
    path = tmp_path / "patterns.yaml"
    path.write_text(PATTERNS)
    report = json.loads(json.dumps(analyze(mmspec.plan(path)).as_dict()))
    pairs = report["pairs"]
    strided = sum(q // 3 + 1 for q in range(150))
    drawn = pairs["text"]["at_longest"] * 4 - 3 * strided
    assert drawn == random_or_prefix(150)
    near = sum((min(r + 1, 5) - max(r - 1, 0) + 1) for r in range(6))
    near *= sum((min(c + 1, 9) - max(c - 1, 0) + 1) for c in range(10))
    along = 60 * 6 - sum(min(r + 1, 5) - max(r - 1, 0) + 1 for r in range(6)) * 10
    parts = sum(a * a for a in (2, 4)) * sum(a * a for a in (2, 4, 4))
    assert pairs["image"]["at_longest"] == (near + along + parts) / 2
    times = sum(abs(40 * q - 40 * k) <= 200 for q in range(90) for k in range(90))
    times += sum(abs(40 * q - 100 * k) <= 500 for q in range(90) for k in range(36))
    assert pairs["both"]["at_longest"] == times
    assert pairs["both"]["growth"] == "O(audio)"
    assert pairs["text"]["executed"] == {"tile": [64, 64], "at_longest": 4096 * tiles() / 4}
    useful = report["totals"]["flops_useful"]["at_longest"]
    assert useful < report["totals"]["flops_dense"]["at_longest"]
    screen = Console(file=io.StringIO(), width=200, color_system=None)
    analyze(mmspec.plan(path)).render(screen)
    assert isinstance(screen.file, io.StringIO)
    assert (
        f"pairs(both)      {times:,} of {6 * 4096:,} in tiles, O(audio)" in screen.file.getvalue()
    )


def random_or_prefix(size: int) -> int:
    """Blocks of text that `random(blocks=1, seed=4)` draws, and two more keys for each query."""
    total = 0
    for block in range(-(-size // 64)):
        rows = min(64, size - 64 * block)
        (x,) = mask_blocks(Pattern("random", (("blocks", 1), ("seed", 4))), block, 3)
        total += rows * (min(64, size - 64 * x) + (2 if x else 0))
    return total


def tiles() -> int:
    """Three heads see the lower half of three by three tiles; one a drawn one and the first."""
    chosen = (
        mask_blocks(Pattern("random", (("blocks", 1), ("seed", 4))), block, 3) for block in range(3)
    )
    return 3 * 6 + sum(len({0, *columns}) for columns in chosen)


def long_spec(folder: Path, mask: str, tokens: int) -> Path:
    """A stream of one mask, and another one that is counted at any rate."""
    path = folder / "long.yaml"
    path.write_text(
        "mmspec: 1\nname: long\nmodalities:\n"
        f"  text: {{kind: tokens, vocab: 9, length: {{max: {tokens}}}}}\n"
        "  note: {kind: tokens, vocab: 9, length: {max: 8}}\n"
        "streams:\n"
        f'  s: {{from: text, depth: 1, width: 8, heads: 2, attention: "{mask}"}}\n'
        "  t: {from: note, depth: 1, width: 8, heads: 2}\n"
        "heads:\n"
        "  y: {from: s, kind: classifier, classes: 3}\n"
        "  z: {from: t, kind: classifier, classes: 3}\n"
    )
    return path


def test_what_has_no_closed_form_is_counted_by_its_distances(tmp_path: Path) -> None:
    """Each distance is shown or not; n - d pairs are that far apart."""
    path = long_spec(tmp_path, "dilated(step=1000, reach=90000) | strided(65537)", 10**6)
    figures = analyze(mmspec.plan(path)).as_dict()
    d = np.arange(1, 10**6)
    shown = (d % 65537 == 0) | (d % 1000 == 0) & (d <= 90000)
    assert figures["pairs"]["s"]["at_longest"] == 10**6 + 2 * int(((10**6 - d) * shown).sum())


def test_what_is_not_counted_is_said_and_the_rest_given(tmp_path: Path) -> None:
    """Of 2^31 - 1 tokens in blocks of 64 each draws two."""
    analysis = analyze(mmspec.plan(long_spec(tmp_path, "random(2)", 2**31 - 1)))
    figures = analysis.as_dict()
    pairs, useful = figures["pairs"]["s"], figures["totals"]["flops_useful"]
    assert pairs["at_longest"] is None and pairs["executed"]["at_longest"] is None
    assert f"{2**31 // 64 * 2:,} random blocks" in pairs["not_counted"]
    assert figures["pairs"]["t"]["at_longest"] == 64 and "not_counted" not in figures["pairs"]["t"]
    # Projections 4*8*8, an mlp of 2*4*8*8, twice; and the other stream, whose 64 pairs are counted.
    each = 2 * (4 * 8 * 8 + 2 * 4 * 8 * 8)
    least = (2**31 - 1 + 8) * each + 64 * 4 * 8 + 2 * (2 * 8 * 3)
    assert useful["at_longest"] is None and useful["at_least"] == least
    assert figures["totals"]["flops_dense"]["at_longest"] > least
    text = io.StringIO()
    analysis.render(Console(file=text, width=160))
    shown = text.getvalue()
    assert f"FLOPs useful     at least {least:,}" in shown
    assert "pairs(s)         not counted (tiles not counted)" in shown


def test_what_is_not_counted_of_a_segment_of_fixed_length(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_text(
        "mmspec: 1\nname: large\n"
        "modalities: {sky: {kind: image, size: [16384, 16384], patch: 8}}\n"
        "streams: {s: {from: sky, depth: 1, width: 8, heads: 2, attention: random(100)}}\n"
        "heads: {y: {from: s, kind: classifier, classes: 3}}\n"
    )
    figures = analyze(mmspec.plan(path)).as_dict()
    assert figures["pairs"]["s"]["at_longest"] is None
    assert figures["totals"]["parameters"] > 0


@pytest.mark.parametrize("name", ["gated", "video"])
def test_a_table_is_laid_out_as_rich_would(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it fits the screen: at its full width, and where kinds are left out."""
    for width in (99, 160):
        shown = []
        for way in (
            analyzing._lines,
            lambda rows, narrow, to: analyzing._trimmed(to, rows, 2 - narrow),
        ):
            monkeypatch.setattr(analyzing, "_lines", way)
            text = io.StringIO()
            analyze(plan(name)).render(Console(file=text, width=width))
            shown.append(text.getvalue())
        monkeypatch.undo()
        assert shown[0] == shown[1]
