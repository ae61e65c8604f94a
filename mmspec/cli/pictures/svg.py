"""A figure as SVG: one path for each color."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from mmspec.cli.pictures.scene import Box, Fill, Item, Scene, Words

FONT = "Helvetica, Arial, 'DejaVu Sans', sans-serif"


def svg(scene: Scene) -> str:
    """The text of the file."""
    size = f'width="{scene.width}" height="{scene.height}"'
    view = f'viewBox="0 0 {scene.width} {scene.height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {view} role="img">'
    lines = [
        head,
        f"<title>{escape(scene.title)}</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<g font-family="{FONT}">',
        *(_item(item) for item in scene.items),
        "</g>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _item(item: Item) -> str:
    if isinstance(item, Fill):
        data = "".join(_path(item.boxes))
        return f'<path fill="{item.color}" shape-rendering="crispEdges" d="{data}"/>'
    if isinstance(item, Words):
        return _words(item)
    (x, y), (x2, y2) = item.start, item.stop
    ends = f'x1="{x:g}" y1="{y:g}" x2="{x2:g}" y2="{y2:g}"'
    stroke = f'stroke="{item.color}" stroke-width="{item.width:g}"'
    return f'<line {ends} {stroke} shape-rendering="crispEdges"/>'


def _path(boxes: Iterable[Box]) -> Iterator[str]:
    """Boxes, each from the corner of the one before."""
    at = 0, 0
    for left, top, width, height in boxes:
        yield f"m{left - at[0]} {top - at[1]}h{width}v{height}h-{width}z"
        at = left, top


def _words(item: Words) -> str:
    x, y = item.at
    place = f'x="{x:g}" y="{y:g}"'
    if item.turned:
        place = f'transform="translate({x:g} {y:g}) rotate(-90)"'
    weight = ' font-weight="600"' if item.bold else ""
    anchor = "" if item.anchor == "start" else f' text-anchor="{item.anchor}"'
    style = f'font-size="{item.size}" fill="{item.color}"{anchor}{weight}'
    return f'<text {place} {style} xml:space="preserve">{escape(item.text)}</text>'
