"""The lines between two layers of boxes, so that each can be followed to where it ends.

A box that is read by several spreads its line in a row of its own; a box that reads several
gathers their lines in a row of its own, below. Lines only ever go down, every upright line has a
column of its own, and where two lines cross the upright one passes over: so no two are confused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mmspec.cli.layout import Layers, Node

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Upright:
    """A line down a column: from row `top` (None: from the box above) to `bottom` (None: below)."""

    column: int
    top: int | None
    bottom: int | None


@dataclass(slots=True)
class Channel:
    """Where the lines run: columns by arrow, rows by the box that spreads or gathers."""

    arrivals: dict[tuple[Node, Node], int] = field(default_factory=dict)
    entries: dict[Node, int] = field(default_factory=dict)
    spread: dict[Node, int] = field(default_factory=dict)
    gathered: dict[Node, int] = field(default_factory=dict)
    spans: list[tuple[int, Span]] = field(default_factory=list)
    """(row, columns) of every level line."""

    @property
    def height(self) -> int:
        """Rows of level lines."""
        return max((row + 1 for row, _ in self.spans), default=0)

    def free_row(self, first: int, span: Span) -> int:
        """The first row from `first` on in which nothing touches the span; it is taken."""
        row = first
        while any(
            r == row and low <= span[1] + 1 and span[0] <= high + 1 for r, (low, high) in self.spans
        ):
            row += 1
        self.spans.append((row, span))
        return row


def channel(layers: Layers, level: int, centre: dict[Node, int], room: dict[Node, int]) -> Channel:
    """Route the arrows from a layer to the next; `room`: columns to either side of a centre."""
    found = Channel()
    stems = {centre[node]: node for node in layers.rows[level]}
    targets = [node for node in layers.rows[level + 1] if layers.before(node)]
    for target in targets:
        _enter(layers, target, found, stems, _columns(centre[target], room[target]))
    for source in layers.rows[level]:
        _spread(layers, source, found, centre[source])
    for target in targets:
        _gather(layers, target, found, centre)
    return found


def _columns(centre: int, room: int) -> Iterator[int]:
    """Columns near a centre, the nearest first, two apart so that lines never touch."""
    yield centre
    for offset in range(2, room + 1, 2):
        yield from (centre - offset, centre + offset)
    for offset in range(1, room + 1, 2):
        yield from (centre - offset, centre + offset)


def _enter(
    layers: Layers,
    target: Node,
    found: Channel,
    stems: dict[int, Node],
    near: Iterator[int],
) -> None:
    """Choose the column where a box is entered, and one for each arrow from a box that spreads."""
    sources = layers.before(target)
    columns = [column for column in near if stems.get(column, sources[0]) in sources]
    spreading = [source for source in sources if len(layers.after(source)) > 1]
    above = {source: column for column, source in stems.items() if column in columns}
    straight = [column for source, column in above.items() if source in sources]
    entry = straight[0] if len(sources) == 1 and straight else columns[0]
    found.entries[target] = entry
    free = [
        entry,
        *(column for column in columns if column != entry and column not in stems),
    ]
    if stems.get(entry) is not None and stems[entry] not in spreading:
        free.remove(entry)
    for source in spreading:
        column = above[source] if source in above else _first_free(free, stems, source)
        if column in free:
            free.remove(column)
        found.arrivals[source, target] = column


def _first_free(free: list[int], stems: dict[int, Node], source: Node) -> int:
    """A column under no other box's line."""
    return next(column for column in free if stems.get(column, source) == source)


def _spread(layers: Layers, source: Node, found: Channel, column: int) -> None:
    """Give a box its own row when it is read by several, or by one box that is not below it."""
    targets = layers.after(source)
    if len(targets) == 1 and len(layers.before(targets[0])) > 1:
        found.arrivals[source, targets[0]] = column
        return
    for target in targets:
        found.arrivals.setdefault((source, target), found.entries[target])
    ends = [column, *(found.arrivals[source, target] for target in targets)]
    if min(ends) < max(ends):
        found.spread[source] = found.free_row(0, (min(ends), max(ends)))


def _gather(layers: Layers, target: Node, found: Channel, centre: dict[Node, int]) -> None:
    """Give a box that reads several its own row, below those in which their lines spread."""
    sources = layers.before(target)
    if len(sources) < 2:
        return
    ends = [
        found.entries[target],
        *(found.arrivals[source, target] for source in sources),
    ]
    first = max(found.spread.get(source, -1) for source in sources) + 1
    found.gathered[target] = found.free_row(first, (min(ends), max(ends)))


def uprights(layers: Layers, level: int, found: Channel, centre: dict[Node, int]) -> list[Upright]:
    """Every line that goes down: from boxes, from where they spread, and from where they gather."""
    lines: list[Upright] = []
    for source in layers.rows[level]:
        for target in layers.after(source):
            column = found.arrivals[source, target]
            end = found.gathered.get(target)
            if source not in found.spread:
                lines.append(Upright(column, None, end))
            else:
                lines.append(Upright(centre[source], None, found.spread[source]))
                lines.append(Upright(column, found.spread[source], end))
    lines += [Upright(found.entries[node], row, None) for node, row in found.gathered.items()]
    return list(dict.fromkeys(lines))
