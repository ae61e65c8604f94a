"""What a picture is asked for with: a stream, lengths, a tile, files; checked for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from mmspec.cli.pictures.panel import Panel, panels, shown_tile
from mmspec.compiler import ir
from mmspec.diagnostics import Diagnostic, MmspecError, suggest
from mmspec.verify.costs.total import tokens

__all__ = ["checked_file", "chosen", "lengths_of", "tile_of"]

_MOST_TILES = 2**24


def chosen(plan: ir.Plan, stream: str, lengths: Mapping[str, int]) -> list[Panel]:
    """The pictures of a stream; lengths in tokens or frames, the longest where not named."""
    streams = [stack.stream for stack in plan.stacks()]
    if stream not in streams:
        close = suggest(stream, streams)
        advice = f"did you mean `{close}`?" if close else f"one of: {', '.join(streams)}"
        raise MmspecError(Diagnostic("MM608", f"there is no stream `{stream}`", help=advice))
    absent = {given.name: 0 for given in plan.inputs if lengths.get(given.name) == 0}
    found = panels(plan, stream, tokens(plan, lengths) | absent)
    shown = [panel for panel in found if panel.queries and panel.keys]
    if not shown and not found:
        _refuse(f"`{stream}` has no layers in which its tokens see one another")
    if not shown:
        _refuse(f"`{stream}` has no token at these lengths")
    return shown


def lengths_of(plan: ir.Plan, text: str) -> dict[str, int]:
    """`text=40,image=0` as lengths by modality."""
    inputs = {given.name: given for given in plan.inputs}
    found: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, size = (word.strip() for word in part.partition("="))
        if not (size.isascii() and size.isdigit()):
            _refuse(f"`{part}` is no length", "write `--lengths text=40,audio=200`")
        if name not in inputs:
            close = suggest(name, inputs)
            advice = f"did you mean `{close}`?" if close else f"one of: {', '.join(inputs)}"
            _refuse(f"lengths are of modalities; `{name}` is none", advice)
        if name in found:
            _refuse(f"the length of `{name}` is given twice")
        most = inputs[name].longest
        if int(size[:12]) > (1 if most is None else most):
            what = "there (1) or absent (0)" if most is None else f"at most {most:,} long"
            _refuse(f"`{name}` is {what}, not {size[:20]}")
        found[name] = int(size)
    return found


def tile_of(panel: Panel, tile: int | None) -> int:
    """The side of a tile: as asked for, or one that shows something."""
    if tile is None:
        return shown_tile(panel)
    if tile < 1:
        _refuse(f"a tile has at least 1 token, not {tile}")
    queries, keys = panel.sizes
    if -(-queries // tile) * -(-keys // tile) > _MOST_TILES:
        _refuse(f"{queries:,} x {keys:,} tokens are too many for tiles of {tile}")
    return tile


def checked_file(name: str, suffix: str) -> Path:
    """The file of a picture, whose name says what it is."""
    path = Path(name)
    if path.suffix.lower() != suffix:
        better = f"{path.stem.removesuffix(suffix) or 'mask'}{suffix}"
        _refuse(f"`{name}` does not end in {suffix}", f"write {better}")
    return path


def _refuse(message: str, advice: str = "") -> NoReturn:
    raise MmspecError(Diagnostic("MM609", message, help=advice))
