"""A mask as data: figures, and for each row of tiles the runs of tiles that are touched."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from mmspec.cli.pictures.panel import Axis, Panel
from mmspec.expressions.mask import unparse
from mmspec.verify.blocks import ALL, NONE, SOME, Shades


def as_dict(name: str, shown: list[tuple[Panel, int]]) -> dict[str, Any]:
    """Every picture of a stream."""
    stream = shown[0][0].stream
    return {"spec": name, "stream": stream, "pictures": [_panel(*item) for item in shown]}


def _panel(panel: Panel, tile: int) -> dict[str, Any]:
    first, stop, every = panel.heads
    queries, keys = panel.sizes
    tiles = panel.blocks(tile, tile)
    reason = {"not_counted": panel.uncounted} if panel.uncounted else {}
    return {
        "kind": panel.kind,
        "heads": {"from": first, "to": stop, "of": every},
        "queries": _axis(panel.queries),
        "keys": _axis(panel.keys),
        "masks": {f"{query} -> {key}": unparse(m) for (query, key), m in panel.masks.items()},
        "visible": panel.visible,
        "pairs": queries * keys,
        "density": panel.density,
        **reason,
        "tile": tile,
        "tiles": {
            "all": tiles.size,
            "touched": int((tiles != NONE).sum()),
            "whole": int((tiles == ALL).sum()),
        },
        "rows": list(_rows(tiles)),
    }


def _axis(axis: Axis) -> list[dict[str, Any]]:
    return [{"segment": part.name, "tokens": part.tokens} for part in axis]


def _rows(tiles: Shades) -> Iterator[str]:
    """`0-3 5 7-8?`: runs of tiles, both ends included; `?` where not all pairs are visible."""
    for row in tiles:
        ends = np.flatnonzero(np.diff(row, prepend=-1, append=-1)).tolist()
        yield " ".join(
            _run(start, stop - 1, bool(row[start] == SOME))
            for start, stop in pairwise(ends)
            if row[start] != NONE
        )


def _run(first: int, last: int, partly: bool) -> str:
    text = str(first) if first == last else f"{first}-{last}"
    return f"{text}?" if partly else text
