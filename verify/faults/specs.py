"""Small specs that faults are planted in; sizes differ so that no axis can stand for another."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent / "small"


def _text(name: str) -> str:
    return (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")


JOINED: Final = _text("joined")
CAPTION: Final = _text("caption")
SCORED: Final = _text("scored")
QUERIED: Final = _text("queried")
SUNK: Final = _text("sunk")
ROUTED: Final = _text("routed")
PONDERED: Final = _text("pondered")
ADAPTED: Final = _text("adapted")
LEAVING: Final = _text("leaving")
TOWERS: Final = _text("towers")
NEARBY: Final = _text("nearby")
NORMED: Final = _text("normed")
FILMED: Final = _text("filmed")
BLENDED: Final = _text("blended")
ROLES: Final = _text("roles")
COUNTED: Final = _text("counted")
TURNED: Final = _text("turned")
CROSSED: Final = _text("crossed")
DROPPED: Final = _text("dropped")
PLACED: Final = _text("placed")
HEARD: Final = _text("heard")
READ: Final = _text("read")
SPOKEN: Final = _text("spoken")
STARTED: Final = _text("started")
CUT: Final = _text("cut")
PACKED: Final = _text("packed")
VARIED: Final = _text("varied")
PREFIXED: Final = _text("prefixed")
SCREENED: Final = _text("screened")
LAYERED: Final = _text("layered")
HALVED: Final = _text("halved")
DECODED: Final = _text("decoded")
READER: Final = _text("reader")
SUMMED: Final = _text("summed")
SHARED: Final = _text("shared")
HIDDEN: Final = _text("hidden")
GRAMS: Final = _text("grams")
RANGED: Final = _text("ranged")
STEMMED: Final = _text("stemmed")
TIMED: Final = _text("timed")
BRIDGED: Final = _text("bridged")
MARKED: Final = _text("marked")
FRONTED: Final = _text("fronted")
SIDES: Final = _text("sides")
STEPPED: Final = _text("stepped")
