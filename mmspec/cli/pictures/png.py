"""A figure as PNG, two pixels for each of the page's."""

from __future__ import annotations

from io import BytesIO
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from mmspec.cli.pictures.scene import Fill, Item, Line, Scene, Words

SCALE: Final = 2

_ANCHORS: Final = {"start": "ls", "middle": "ms", "end": "rs"}
_KNOWN: Final = str.maketrans("\N{MULTIPLICATION SIGN}\N{NO-BREAK SPACE}", "x ")
"""The font that comes with pillow has few characters beyond ASCII."""


def png(scene: Scene) -> bytes:
    """The content of the file."""
    image = Image.new("RGB", (scene.width * SCALE, scene.height * SCALE), "#ffffff")
    for item in scene.items:
        _paint(image, ImageDraw.Draw(image), item)
    file = BytesIO()
    image.quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()


def _paint(image: Image.Image, draw: ImageDraw.ImageDraw, item: Item) -> None:
    if isinstance(item, Words):
        _write(image, draw, item)
        return
    if isinstance(item, Fill):
        for left, top, width, height in item.boxes:
            stop = ((left + width) * SCALE - 1, (top + height) * SCALE - 1)
            draw.rectangle(((left * SCALE, top * SCALE), stop), fill=item.color)
        return
    draw.rectangle(_thick(item), fill=item.color)


def _thick(line: Line) -> tuple[int, int, int, int]:
    """The pixels of a line."""
    half = line.width / 2
    upright = line.start[0] == line.stop[0]
    x, y = (half, 0.0) if upright else (0.0, half)
    left, top = (line.start[0] - x) * SCALE, (line.start[1] - y) * SCALE
    right, bottom = (line.stop[0] + x) * SCALE, (line.stop[1] + y) * SCALE
    return round(left), round(top), round(right) - 1, round(bottom) - 1


def _write(image: Image.Image, draw: ImageDraw.ImageDraw, item: Words) -> None:
    font = ImageFont.load_default(size=item.size * SCALE)
    text = item.text.translate(_KNOWN)
    x, y = (value * SCALE for value in item.at)
    thick = 0.6 if item.bold else 0
    anchor = _ANCHORS[item.anchor]
    if not item.turned:
        draw.text((x, y), text, item.color, font, anchor, stroke_width=thick)
        return
    width, height = (round(value) for value in font.getbbox(text, anchor="ls")[2:])
    pad = item.size * SCALE
    stencil = Image.new("L", (width + 2 * pad, height + 2 * pad), 0)
    ImageDraw.Draw(stencil).text((pad, pad), text, 255, font, "ls", stroke_width=thick)
    stencil = stencil.rotate(90, expand=True)
    start = {"start": 0.0, "middle": width / 2, "end": float(width)}[item.anchor]
    corner = round(x - pad), round(y - width - pad + start)
    image.paste(item.color, corner, stencil)
