"""`mmspec show SPEC --mask STREAM`: what it prints, and the files it writes."""

from __future__ import annotations

import shutil
import sys
from argparse import Namespace

from mmspec.cli import console, exits, output, waiting, writable
from mmspec.cli.pictures import request
from mmspec.cli.pictures.panel import Panel
from mmspec.compiler import driver

_PIPE_WIDTH = 80
_MOST_BOXES = 60_000
"""Of an SVG, which then has less than a megabyte."""

_CELLS = 1024
_FEWEST_CELLS = 64


def run(arguments: Namespace) -> int:
    """Draw the masks of a stream in the terminal, into files, or print them as data."""
    files = {
        suffix: request.checked_file(name, f".{suffix}")
        for suffix in ("png", "svg")
        if (name := getattr(arguments, suffix)) is not None
    }
    for file in files.values():
        writable.check_file(file)
    with waiting.shown(f"drawing {arguments.spec}"):
        plan = driver.run(arguments.spec, stop_after="lower")
        lengths = request.lengths_of(plan, arguments.lengths or "")
        found = request.chosen(plan, arguments.mask, lengths)
        shown = [(panel, request.tile_of(panel, arguments.tile)) for panel in found]
        contents = {path: _content(plan.name, shown, kind) for kind, path in files.items()}
        for path, content in contents.items():
            writable.write(path, content)
    if arguments.json:
        from mmspec.cli.pictures import machine

        output.machine(machine.as_dict(plan.name, shown))
    elif contents:
        for path in contents:
            print(f"wrote {path}")
    else:
        _draw(shown, arguments.ascii)
    return exits.FINE


def _draw(shown: list[tuple[Panel, int]], ascii_only: bool) -> None:
    """In the terminal."""
    from mmspec.cli.pictures import terminal

    screen = console.stdout()
    width = screen.width
    if not sys.stdout.isatty():
        width = min(width, shutil.get_terminal_size((_PIPE_WIDTH, 24)).columns)
    plain = ascii_only or not screen.encoding.lower().startswith("utf")
    colored = output.is_colored(sys.stdout) and not plain
    size = terminal.Screen(width, plain, colored)
    for place, (panel, tile) in enumerate(shown):
        if place:
            screen.print()
        for line in terminal.lines(panel, tile, size):
            screen.print(line, no_wrap=True, overflow="crop")


def _content(name: str, shown: list[tuple[Panel, int]], kind: str) -> bytes:
    """Of a file; an SVG of too many boxes has larger cells."""
    from mmspec.cli.pictures.figure import figure

    if kind == "png":
        from mmspec.cli.pictures.png import png

        return png(figure(name, shown, _CELLS))
    from mmspec.cli.pictures.svg import svg

    cells = _CELLS
    scene = figure(name, shown, cells)
    while scene.boxes() > _MOST_BOXES and cells > _FEWEST_CELLS:
        cells //= 2
        scene = figure(name, shown, cells)
    return svg(scene).encode()
