"""The report of `mmspec tune`: tables of tiles and what to change, as text and for JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mmspec.compiler import ir
from mmspec.expressions.mask import unparse
from mmspec.verify.tune.advice import MANY, TILE, Advice, Row, advise, lengths_of
from mmspec.verify.tune.order import ROWS
from mmspec.verify.tune.proposal import Change, Finding
from mmspec.verify.tune.speed import Way

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Report", "tune"]

Figures = dict[str, Any]

_WIDE: Final = 96
_FEW: Final = 256 * 256
"""Pairs below which other orders are left to JSON: such an attention is one call at any rate."""

_WORTH: Final = 1.05
"""Times as good, from which on an order is worth a word."""

_NOTES: Final = (
    "touched: tiles with a visible pair; inside: those without a hidden one.",
    "wasted: pairs of touched tiles that nobody sees, as a share of the visible.",
    "speed: predicted on a CPU, against one dense call, by the prices of {whose}.",
    "exact: each tile is seen all or not at all. >: what the compiled model does.",
)

_WHOSE: Final[dict[Way, str]] = {
    "native": "native code",
    "calls": "calls of torch's kernels",
}


@dataclass(frozen=True, slots=True)
class Report:
    """The advice for a plan at some lengths."""

    plan: ir.Plan
    lengths: Mapping[str, int]
    advice: tuple[Advice, ...]

    def as_dict(self) -> Figures:
        """Everything, ready for JSON."""
        attentions = [_advice(one) for one in self.advice]
        return {"name": self.plan.name, "tokens": dict(self.lengths), "attentions": attentions}

    def render(self, console: Console) -> None:
        """Print one attention after another, then what the words mean."""
        from rich.text import Text

        width = console.width
        for one in self.advice:
            for line, style in _lines(one, width):
                console.print(Text(line, style=style), soft_wrap=True)
            console.print()
        for note in _notes({one.way for one in self.advice if not one.attention.is_full}):
            for line, _ in _hanging("", note, width):
                console.print(Text(line, style="dim"), soft_wrap=True)


def _notes(ways: set[Way]) -> Iterator[str]:
    """What the words mean; ways: by whose prices speeds are predicted."""
    whose = " or ".join(text for way, text in _WHOSE.items() if way in ways) or _WHOSE["calls"]
    for note in _NOTES:
        yield note.format(whose=whose)


def tune(plan: ir.Plan, given: Mapping[str, int], native: bool | None = None) -> Report:
    """Look at every attention; lengths in frames or tokens, the longest where not named.

    native: whether there is native code for attention; None: as on this machine.
    """
    lengths = lengths_of(plan, given)
    return Report(plan, lengths, advise(plan, lengths, native))


def _advice(one: Advice) -> Figures:
    attention = one.attention
    queries, keys = attention.tokens
    return {
        "stream": attention.stream,
        "kind": attention.kind,
        "heads": list(range(*attention.heads)),
        "masks": {f"{s.query.name} -> {s.key.name}": unparse(s.mask) for s in attention.shown},
        "queries": queries,
        "keys": keys,
        "visible": attention.visible,
        "density": one.density,
        **({"not_counted": attention.uncounted} if attention.uncounted else {}),
        "compiled": one.compiled,
        "runs": one.runs,
        "prices": one.way,
        "tiles": [_row(row) for row in one.rows],
        "advice": {
            "order": str(one.order),
            "tile": list(TILE),
            "pairs": [_finding(found) for found in one.findings],
            **({"not_sought": one.left} if one.left else {}),
        },
    }


def _row(row: Row) -> Figures:
    return {
        "order": str(row.order),
        "tile": list(row.tile),
        "touched": row.tiles and row.tiles.touched,
        "inside": row.tiles and row.tiles.inside,
        "executed": row.executed,
        "wasted": row.waste,
        "speed": row.speed,
        "compiled": row.compiled,
    }


def _finding(found: Finding) -> Figures:
    return {
        "pair": f"{found.shown.query.name} -> {found.shown.key.name}",
        "mask": unparse(found.now.mask),
        "exactness": found.now.exactness,
        "wasted": found.now.waste,
        "reasons": list(found.reasons),
        "changes": [
            {
                "why": change.why,
                "mask": unparse(change.measure.mask),
                "exactness": change.measure.exactness,
                "wasted": change.measure.waste,
                "more_pairs": change.pairs,
                "more_work": change.work,
            }
            for change in found.changes
        ],
    }


def _lines(one: Advice, width: int) -> Iterator[tuple[str, str]]:
    """Lines and their styles."""
    attention = one.attention
    first, last = attention.heads
    heads = _heads(first, last - 1, attention.of)
    what = "self-attention" if attention.kind == "stream" else "cross-attention of the fusion"
    yield f"{attention.stream}: {what}" + f", {heads}" * bool(heads), "bold"
    for shown in attention.shown[:MANY]:
        text = f"{shown.query.name} -> {shown.key.name}: {unparse(shown.mask)}"
        yield from _hanging("  ", text, width)
    if len(attention.shown) > MANY:
        yield from _hanging("  ", f"... {len(attention.shown):,} masks, all in --json", width)
    queries, keys = attention.tokens
    yield from _hanging("  ", f"{queries:,} queries × {keys:,} keys, {_visible(one)}", width)
    yield from _hanging("  ", one.compiled, width)
    if attention.is_full or attention.visible == 0:
        return
    yield "", ""
    yield from _table(one, width)
    yield "", ""
    yield f"  in tiles of {TILE[0]} × {TILE[1]}, {one.order}:", "bold"
    for text in _sentences(one):
        yield from _hanging("  - ", text, width)


def _visible(one: Advice) -> str:
    if one.density is None:
        return f"pairs visible not counted: {one.attention.uncounted}"
    return f"{one.attention.visible:,} pairs visible ({100 * one.density:.3g} %)"


def _heads(first: int, last: int, every: int) -> str:
    """`heads 0 to 2 of 4`; nothing where they are all."""
    if last + 1 - first == every:
        return ""
    return f"head {first} of {every}" if first == last else f"heads {first} to {last} of {every}"


def _table(one: Advice, width: int) -> Iterator[tuple[str, str]]:
    """Orders and tiles, a row each; without the executed pairs where the screen is narrow."""
    shown = [row for row in one.rows if row.order == ROWS or _is_shown(row, one)]
    rows = [["", "order", "tile", "touched", "inside", "executed", "wasted", "speed"]]
    rows += [_cells(row) for row in shown]
    if width < _WIDE:
        rows = [row[:5] + row[6:] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    styles = ["bold", *("bold" if row.compiled else "" for row in shown)]
    for cells, style in zip(rows, styles, strict=True):
        left = [cell.ljust(size) for cell, size in zip(cells[:3], widths[:3], strict=True)]
        right = [cell.rjust(size) for cell, size in zip(cells[3:], widths[3:], strict=True)]
        yield "  " + "  ".join([" ".join(left[:2]), left[2], *right]).rstrip(), style


def _is_shown(row: Row, one: Advice) -> bool:
    """Whether another order is better than the tokens' in the same tiles, and has more than few."""
    plain = one.row(ROWS, row.tile)
    if row.executed is None or _is_short(one):
        return False
    return plain.executed is None or one.gain(row, plain) > 1 or row.compiled


def _cells(row: Row) -> list[str]:
    cells = [">" if row.compiled else " ", str(row.order), _tile(row)]
    if row.tiles is None:
        return [*cells, *"-----"]
    numbers = [row.tiles.touched, row.tiles.inside, row.executed]
    counts = [f"{number:,}" for number in numbers]
    waste = "-" if row.waste is None else _percent(row.waste)
    return [*cells, *counts, waste, _speed(row)]


def _tile(row: Row) -> str:
    """`64 × 64`, of a grid with the sides of its boxes."""
    return f"{row.tile[0]} × {row.tile[1]}" + f" ({row.shape})" * bool(row.shape)


def _speed(row: Row) -> str:
    speed = row.speed
    if speed is None:
        return "-"
    return f"{speed:.2f}" if speed < 100 else f"{speed:,.0f}"


def _percent(share: float) -> str:
    return f"{100 * share:,.1f} %" if share < 10 else f"{100 * share:,.0f} %"


def _sentences(one: Advice) -> Iterator[str]:
    """What its order saves, and what is to be said of each pair of segments."""
    own, plain = one.row(one.order), one.row(ROWS)
    if own.tiles is None:
        yield "not counted: too many pairs, and no closed form"
        return
    if _is_short(one):
        yield "short: one dense call costs as little as any tiles would"
        return
    yield from _compared(one, own, plain)
    yield from _compared(one, one.best, own)
    if one.left:
        masks = len(one.attention.shown)
        sought = f"changes were sought for {masks - one.left} of these {masks}"
        yield f"the spec has many masks: {sought}"
    alone = len(one.findings) == 1
    fine = [found for found in one.findings if _is_fine(found)]
    for found in one.findings:
        if found not in fine:
            yield from _said(found, "" if alone else f"{_pair(found)}: ")
    if fine:
        names = "" if alone else f": {', '.join(_pair(found) for found in fine)}"
        how = dict.fromkeys(found.now.exactness for found in fine)
        yield f"{' or '.join(how)}, nothing to change{names}"
    other = [f"{row.order} {_tile(row)}" for row in one.exact if row.tile != TILE]
    if other and one.row(one.order) not in one.exact:
        yield f"exact as it is in other tiles: {', '.join(other)}"


def _is_short(one: Advice) -> bool:
    queries, keys = one.attention.tokens
    return queries * keys <= _FEW and not one.attention.is_sparse


def _compared(one: Advice, better: Row, other: Row) -> Iterator[str]:
    """How much better one order is than another, where that is worth a word."""
    gain = one.gain(better, other)
    if gain < _WORTH:
        return
    if one.way == "calls":
        where = "than row-major" if better.order == one.order else f"in {better.order}"
        yield f"{gain:.1f} times fewer tiles {where}: speed {_instead(better, other)}"
    else:
        names = f"{better.order} instead of {other.order}"
        yield f"{gain:.2f} times as fast, {names}: speed {_instead(better, other)}"


def _instead(better: Row, other: Row) -> str:
    return f"{_speed(better)} instead of {_speed(other)}"


def _is_fine(found: Finding) -> bool:
    return found.now.exactness != "partly" and not found.changes


def _pair(found: Finding) -> str:
    return f"{found.shown.query.name} -> {found.shown.key.name}"


def _said(found: Finding, pair: str) -> Iterator[str]:
    """Sentences about one pair of segments."""
    exact = [change for change in found.changes if change.why == "exact"]
    if found.now.exactness == "partly" and not exact:
        yield f"{pair}no number near makes it exact" + _because(found.reasons)
    for change in found.changes:
        yield f"{pair}{_change(change, found)}"
    if not found.sought:
        yield f"{pair}no change was sought: random blocks of so long a segment take too long"
    elif not found.changes:
        yield f"{pair}no other number wastes less for nearly the same pairs"


def _because(reasons: tuple[str, ...]) -> str:
    return ": " + ", and ".join(reasons) if reasons else ""


def _change(change: Change, found: Finding) -> str:
    """`window(before=128)` is exact: 0.8 % more pairs, the same tiles."""
    mask, pairs = unparse(change.measure.mask), _more(change.pairs, "pairs")
    work = "in the same tiles" if not change.work else f"in {_more(change.work, 'tiles')}"
    waste = [_percent(share) for share in (change.measure.waste, found.now.waste)]
    wasted = f", wasted {waste[0]} instead of {waste[1]}" if waste[0] != waste[1] else ""
    lead = {
        "exact": f"the smallest change: {mask} is {change.measure.exactness}",
        "saves": f"{'cheaper' if change.work else 'wastes less'}: {mask}",
        "instead": f"{change.measure.exactness} instead, but without overlap: {mask}",
    }
    return f"{lead[change.why]}; {pairs} {work}{wasted}"


def _more(share: float, noun: str) -> str:
    if abs(share) < 0.0005:
        return f"as many {noun}"
    return f"{_percent(abs(share))} {'more' if share > 0 else 'fewer'} {noun}"


def _hanging(indent: str, text: str, width: int) -> Iterator[tuple[str, str]]:
    """Wrapped to the width, further lines below the text."""
    blanks = " " * (len(indent) + 2 * (not indent.strip()))
    wrapper = textwrap.TextWrapper(width, subsequent_indent=blanks, break_long_words=False)
    wrapper.break_on_hyphens = False
    lines = wrapper.wrap((indent + text).replace(" %", "\u00a0%"))
    yield from ((line.replace("\u00a0", " "), "") for line in lines)
