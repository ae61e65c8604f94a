"""The figures of `mmspec analyze`: what a plan costs, as closed forms and at its longest."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from mmspec.compiler import ir
from mmspec.verify import costs as costing
from mmspec.verify.costs import Costs, Part, Polynomial
from mmspec.verify.costs.orders import write_orders
from mmspec.verify.costs.polynomial import total

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Figures = dict[str, Any]
_WIDE = 100
_NARROW = 20
"""Of the last column, below which rich says how all columns are cut."""
_GROWTHS, _TERMS = 12, 64
"""Power products and terms that are printed; `--json` has all of them."""
_NOTES = (
    "FLOPs: matrix products of one forward in training, B = 1, longest inputs;",
    "a multiply-add is 2. dense: masks save nothing; useful: visible pairs only.",
    "kept: bytes autograd keeps for the backward, float32, fused attention.",
    "pairs: visible in one head (their mean), of all in the 64 x 64 tiles with one.",
)


@dataclass(frozen=True, slots=True)
class Analysis:
    """The costs of a plan, and the lengths they are shown at."""

    plan: ir.Plan
    costs: Costs

    @property
    def longest(self) -> dict[str, int]:
        """One sample, every modality at its longest, in tokens."""
        return costing.tokens(self.plan, {})

    def as_dict(self) -> Figures:
        """Everything, ready for JSON: totals, groups, streams' pairs and parts."""
        groups = {
            group: {name: self._sum(parts) for name, parts in found.items()}
            for group, found in self.costs.groups().items()
        }
        return {
            "name": self.plan.name,
            "lengths": self._lengths(),
            "totals": self._sum(self.costs.parts) | self._expected(),
            **groups,
            "pairs": {stack.stream: self._pairs(stack) for stack in self.plan.stacks()},
            "parts": [self._part(part) for part in self.costs.parts],
        }

    def render(self, console: Console) -> None:
        """Print the parts as a table, then totals and visible pairs as closed forms."""
        narrow = console.width < _WIDE
        for row in _lines([*self._rows(narrow)], narrow, console):
            console.print(row, soft_wrap=True)
        console.print()
        for line in self._closed_forms(console.width if console.is_terminal else 0):
            console.print(line, markup=False, soft_wrap=True)
        console.print()
        for note in _NOTES:
            console.print(note, style="dim", markup=False)

    def _lengths(self) -> Figures:
        return {
            given.name: {
                "tokens": given.tokens.max,
                "symbol": given.tokens.symbol,
                "raw_per_step": given.raw.step,
                "tokens_per_step": given.area,
            }
            for given in self.plan.inputs
        }

    def _figure(self, polynomial: Polynomial) -> Figures:
        value, why = polynomial.counted(self.longest)
        bound = self._bound(polynomial)
        figure: Figures = {
            "closed_form": polynomial.write(),
            "growth": write_orders(polynomial.orders()),
            "at_longest": None if why else _plain(value),
        }
        if why:
            figure |= {"at_least": _plain(value), "not_counted": why}
        if bound:
            figure["long_form"] = {
                "lengths_from": bound,
                "closed_form": polynomial.long().write(long=True),
            }
        return figure

    def _bound(self, polynomial: Polynomial) -> int:
        """From this length on the form for long segments holds; 0: always, or at no length."""
        found = polynomial.bound()
        return found if found <= max(self.longest.values()) else 0

    def _sum(self, parts: tuple[Part, ...]) -> Figures:
        return {
            "parameters": sum(part.parameters for part in parts),
            "active_parameters": sum(part.active for part in parts),
            "flops_dense": self._figure(total(part.flops_dense for part in parts)),
            "flops_useful": self._figure(total(part.flops_useful for part in parts)),
            "activation_bytes": self._figure(total(part.activation_bytes for part in parts)),
        }

    def _part(self, part: Part) -> Figures:
        about = {"name": part.name, "concern": part.concern, "kind": part.kind}
        return about | {"stream": part.owner or None} | self._sum((part,))

    def _expected(self) -> Figures:
        """What pondering streams make of the dense FLOPs, where there are any."""
        steps = costing.expected_steps(self.plan)
        if not steps:
            return {}
        expected = self._figure(self.costs.flops_expected)
        return {
            "flops_expected": expected,
            "expected_steps": {name: float(mean) for name, mean in steps.items()},
        }

    def _pairs(self, stack: ir.Stack) -> Figures:
        tiles = self._executed(stack)
        executed = {
            "tile": list(costing.TILE),
            "at_longest": None if tiles is None else _plain(tiles),
        }
        figure = self._figure(costing.visible_pairs(self.plan, stack.stream))
        return figure | {"executed": executed}

    def _executed(self, stack: ir.Stack) -> int | Fraction | None:
        """Pairs in tiles that are not empty, at the longest lengths; None: not counted."""
        return costing.executed_pairs(self.plan, stack.stream, self.longest)

    def _rows(self, narrow: bool) -> Iterator[tuple[str, ...]]:
        """Names of columns, parts by stream, their sum; no kinds where the screen is narrow."""
        kinds = 0 if narrow else 1
        figures = ("parameters", "dense", "useful", "kept", "growth of dense")
        yield (self.plan.name, *[""] * kinds, *figures)
        above: str | None = None
        for part in self.costs.parts:
            if part.owner != above and part.owner:
                yield (part.owner, *[""] * (kinds + len(figures)))
            name = f"  {_label(part)}" if part.owner else _label(part)
            yield (name, *[part.kind] * kinds, *self._cells((part,)))
            above = part.owner
        yield ("all", *[""] * kinds, *self._cells(self.costs.parts))

    def _cells(self, parts: tuple[Part, ...]) -> tuple[str, ...]:
        longest = self.longest
        dense = total(part.flops_dense for part in parts)
        useful = _useful(total(part.flops_useful for part in parts), longest)
        kept = total(part.activation_bytes for part in parts).evaluate(longest)
        parameters = sum(part.parameters for part in parts)
        figures = human(dense.evaluate(longest)), useful, human(kept, "B")
        return f"{parameters:,}", *figures, write_orders(dense.orders(), _GROWTHS)

    def _closed_forms(self, width: int) -> list[str]:
        """A line a figure, or several lines within a width (0: any)."""
        found, longest = self.costs, self.longest
        size = f"{found.parameters:,} ({human(found.parameters)})"
        lines = [("parameters", f"{size}, {found.active:,} active for a token")]
        rows = [
            ("FLOPs dense", found.flops_dense, ""),
            ("FLOPs useful", found.flops_useful, ""),
            ("bytes kept", found.activation_bytes, ""),
        ]
        if costing.expected_steps(self.plan):
            rows.append(("FLOPs expected", found.flops_expected, ""))
        for stack in self.plan.stacks():
            executed = self._executed(stack)
            tiles = (
                " (tiles not counted)" if executed is None else f" of {int(executed):,} in tiles"
            )
            pairs = costing.visible_pairs(self.plan, stack.stream)
            rows.append((f"pairs({stack.stream})", pairs, tiles))
        for name, polynomial, more in rows:
            (value, why), bound = polynomial.counted(longest), self._bound(polynomial)
            past = f"  (lengths from {bound})" if bound else ""
            shown = f"{int(value):,}" + (more or (f" ({human(value)})" if value >= 1000 else ""))
            if why:
                shown = f"at least {shown}" if value else f"not counted{more}"
                past += f"; not counted: {why}" if value else f"; {why}"
            growth = write_orders(polynomial.orders(), _GROWTHS)
            is_long = bound or not polynomial.bound()
            form = (polynomial.long() if is_long else polynomial).write(bool(is_long), _TERMS)
            lines.append((name, f"{shown}, {growth}: {form}{past}"))
        indent = max(16, *(len(name) for name, _ in lines)) + 1
        return [line for row in lines for line in _hanging(*row, indent, width)]


def _lines(rows: list[tuple[str, ...]], narrow: bool, console: Console) -> Iterator[Text]:
    """The lines of a table, as rich lays it out, which takes seconds over thousands of rows.

    So it is asked only where the screen is too narrow for the columns before the last.
    """
    from rich.text import Text

    texts = 1 if narrow else 2
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = console.width - sum(widths[:-1]) - 2 * len(widths)
    if left < _NARROW:
        yield from _trimmed(console, rows, texts)
        return
    for place, row in enumerate(rows):
        cells = [
            cell.rjust(width) if texts <= at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row[:-1], widths[:-1], strict=True))
        ]
        before = "  ".join([*cells, ""])
        for number, last in enumerate(textwrap.wrap(row[-1], left, break_on_hyphens=False) or [""]):
            line = (before if number == 0 else " " * len(before)) + last
            text = Text(line.rstrip(), style="bold" * (place in (0, len(rows) - 1)))
            if texts == 2 and place and number == 0:
                text.stylize("dim", widths[0] + 2, widths[0] + 2 + widths[1])
            yield text


def _trimmed(console: Console, rows: list[tuple[str, ...]], texts: int) -> Iterator[Text]:
    """By rich, which folds the last column; without blanks at the ends of lines."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), title_justify="left", header_style="bold")
    for at, name in enumerate(rows[0]):
        last = at == len(rows[0]) - 1
        number, style = texts <= at and not last, "dim" if at == 1 and texts == 2 else ""
        table.add_column(
            name,
            style=style,
            justify="right" if number else "left",
            no_wrap=not last,
            overflow="fold" if last else "ellipsis",
        )
    for row in rows[1:-1]:
        table.add_row(*row)
    table.add_row(*rows[-1], style="bold")
    for line in console.render_lines(table, pad=False):
        text = Text.assemble(*((piece.text, piece.style or "") for piece in line))
        text.rstrip()
        yield text


def _hanging(name: str, text: str, indent: int, width: int) -> list[str]:
    """A name and its text in a column of its own, wrapped where a width is given."""
    line = f"{name:<{indent}}{text}"
    if not width:
        return [line]
    blanks = " " * indent
    return textwrap.wrap(line, width, subsequent_indent=blanks, break_long_words=False)


def _plain(value: int | Fraction) -> int | float:
    """A number for JSON."""
    return value if isinstance(value, int) else float(value)


def _useful(polynomial: Polynomial, lengths: Mapping[str, int]) -> str:
    """As a cell of the table: what is not counted is said to be at least what is."""
    value, why = polynomial.counted(lengths)
    return human(value) if not why else f"at least {human(value)}" if value else "not counted"


def _label(part: Part) -> str:
    """A part's name within its stream."""
    stream, fusion = f"{part.owner}_stream", f"{part.owner}_fusion"
    if part.name == stream:
        return "norms"
    if part.name == fusion and part.concern == "stream":
        return "fusion norms"
    name = part.name.removeprefix(f"{stream}.").removeprefix("blocks.*.")
    name = name.replace(f"{fusion}.blocks.*.", "fusion ").removeprefix(f"{part.owner}_")
    return name.replace("_", " ")


def human(number: Any, unit: str = "") -> str:
    """Three digits, a prefix and a unit: 55.3 MB."""
    for power, prefix in ((15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if number >= 10**power:
            return f"{float(number / 10**power):.3g} {prefix}{unit}"
    return f"{int(number)} {unit}".rstrip()


def analyze(plan: ir.Plan) -> Analysis:
    """The figures of a plan."""
    return Analysis(plan, costing.costs(plan))
