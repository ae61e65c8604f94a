"""Show a model as a tree and as a stream diagram, or the masks of a stream as a picture."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, Final

from mmspec.cli import exits, output

if TYPE_CHECKING:
    from rich.console import Console

    from mmspec.schema.spec import Spec

NAME: Final = "show"
SUMMARY: Final = "show a model as a tree and a diagram"


def options(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("spec", metavar="SPEC", help="a spec file")
    parser.add_argument(
        "--ascii",
        action="store_true",
        help="draw with ASCII characters (also without UTF-8)",
    )
    parser.add_argument("--json", action="store_true", help="print what is shown as JSON")
    picture = parser.add_argument_group("masks")
    picture.add_argument(
        "--mask", metavar="STREAM", help="draw who sees whom in a stream and in its fusion"
    )
    picture.add_argument(
        "--lengths",
        metavar="LENGTHS",
        help="text=40,audio=200: tokens or frames by modality; 0: absent (default: the longest)",
    )
    picture.add_argument(
        "--tile",
        metavar="N",
        type=int,
        help="tokens of a tile (default: 64, fewer where a picture would have few tiles)",
    )
    picture.add_argument("--png", metavar="FILE", help="write the picture into a PNG file")
    picture.add_argument("--svg", metavar="FILE", help="write the picture into an SVG file")


def run(arguments: argparse.Namespace) -> int:
    """Draw the diagram, then the tree; or print both as data; or draw masks."""
    if arguments.mask is not None:
        from mmspec.cli.pictures import command

        return command.run(arguments)
    for name in ("lengths", "tile", "png", "svg"):
        if getattr(arguments, name) is not None:
            arguments.parser.error(f"--{name} is of a picture: name a stream with --mask")
    from mmspec import text
    from mmspec.schema.validate import validate

    spec = validate(text.read(arguments.spec))
    if arguments.json:
        output.machine(as_dict(spec))
        return exits.FINE
    from mmspec.cli import console

    screen = console.stdout()
    ascii_only = arguments.ascii or not screen.encoding.lower().startswith("utf")
    _diagram(spec, screen, ascii_only)
    _tree(spec, screen, ascii_only)
    return exits.FINE


def _diagram(spec: Spec, screen: Console, ascii_only: bool) -> None:
    """The boxes, or a sentence where the screen is too narrow for them."""
    from rich.text import Text

    from mmspec.cli import diagram, graph

    drawing = diagram.draw(graph.graph(spec), screen.width - 1, ascii_only)
    if drawing is None:
        print(f"(the diagram needs more than {screen.width} columns)", file=sys.stderr)
        return
    for row in drawing.rows(ascii_only):
        line = Text(" ", no_wrap=True, overflow="crop")
        for run_text, style in row:
            line.append(run_text, style)
        screen.print(line)
    screen.print()


def _tree(spec: Spec, screen: Console, ascii_only: bool) -> None:
    """Every part with its shape and its parameters."""
    from mmspec.cli import tree

    for line in tree.lines(spec, _parameters(spec), screen.width, ascii_only):
        screen.print(line, soft_wrap=True)


def as_dict(spec: Spec) -> dict[str, Any]:
    """The resolved spec, who reads whom, the tokens of each stream, parameters."""
    from mmspec.schema.resolved import resolved
    from mmspec.schema.wiring import resolve

    wiring, counts = resolve(spec), _parameters(spec)
    most = {name: item.max_tokens for name, item in spec.modalities.items()}
    return {
        "class": spec.class_name,
        "spec": resolved(spec),
        "reads": {
            stream: [{"stream" if s.is_stream else "modality": s.name} for s in sources]
            for stream, sources in wiring.sources.items()
        },
        "most_tokens": {
            stream: {s.name: s.count or most[s.name] for s in wiring.segments[stream]}
            for stream in wiring.order
        },
        "parameters": {
            "total": counts["total"],
            "streams": {name: counts[name] for name in spec.streams},
            "heads": {name: counts.get(f"head {name}", 0) for name in spec.heads},
        },
    }


def _parameters(spec: Spec) -> dict[str, int]:
    """Parameters of the whole, of each stream and of each head, as `tree.lines` takes them."""
    from mmspec.compiler.lower.lower import lower
    from mmspec.verify.costs.total import weighed

    plan = lower(spec)
    counted = weighed(plan)
    modules = {head.module: f"head {head.name}" for head in plan.heads}
    groups = counted.groups()
    rows = dict(groups["streams"])
    rows |= {modules[name]: parts for name, parts in groups["heads"].items()}
    found = {name: sum(part.parameters for part in parts) for name, parts in rows.items()}
    return {"total": counted.parameters} | found
