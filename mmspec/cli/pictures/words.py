"""What is said of a picture: whose mask it is, what it shows, how much of it is visible."""

from __future__ import annotations

from mmspec.cli import output
from mmspec.cli.pictures.panel import TILE, Axis, Panel
from mmspec.expressions.mask import unparse
from mmspec.verify.blocks import ALL, NONE

TIMES = "\N{MULTIPLICATION SIGN}"


def heading(panel: Panel) -> str:
    """`clip: heads 0 and 1 of 4`."""
    first, stop, every = panel.heads
    name = panel.stream if panel.kind == "attention" else f"{panel.stream}, {panel.kind}"
    if not panel.by_heads:
        return name
    heads = [str(head) for head in range(first, stop)]
    if len(heads) > 2:
        return f"{name}: heads {heads[0]} to {heads[-1]} of {every}"
    return f"{name}: {'head' if len(heads) == 1 else 'heads'} {' and '.join(heads)} of {every}"


def masks(panel: Panel) -> list[str]:
    """The mask, or a line for each pair of segments that sees anything."""
    if panel.single is not None:
        return [unparse(panel.single)]
    names = {(q.name, k.name) for q in panel.queries for k in panel.keys}
    return [
        f"{q} sees {k}: {unparse(mask)}" for (q, k), mask in panel.masks.items() if (q, k) in names
    ]


def figures(panel: Panel) -> str:
    """Tokens, visible pairs, density."""
    queries, keys = panel.sizes
    sides = _side(panel.queries)
    sides += " tokens" if panel.queries == panel.keys else f" see {_side(panel.keys)}"
    pairs, packed = output.plural(queries * keys, "pair"), ""
    if panel.packed:
        packed = ", a sample being one document"
    if panel.visible is None:
        return f"{sides}: {pairs}; those visible are not counted: {panel.uncounted}{packed}"
    return f"{sides}: {panel.visible:,} of {pairs} visible ({percent(panel)}){packed}"


def _side(axis: Axis) -> str:
    return " + ".join(f"{part.tokens:,} {part.name}" for part in axis)


def percent(panel: Panel) -> str:
    """Visible pairs of all."""
    share = 100 * (panel.density or 0)
    text = f"{share:.3g}" if share < 99.95 or share == 100 else f"{share:.2f}"
    return f"{text}\N{NO-BREAK SPACE}%"


def tiles(panel: Panel, tile: int) -> str:
    """Tiles that are touched, and those seen whole."""
    found = panel.blocks(tile, tile)
    touched, whole = int((found != NONE).sum()), int((found == ALL).sum())
    own = "" if tile == TILE else f" (a kernel's are {TILE} {TIMES} {TILE})"
    seen = f"{touched:,} of {found.size:,} touched, {whole:,} whole"
    if panel.sampled(tile, tile):
        seen += ", by samples of their pairs"
    return f"tiles of {tile} {TIMES} {tile}: {seen}{own}"
