"""The two oracles of masks, one by formulas on the Spec, one by arrays on the text, agree."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmspec.expressions import mask as masks
from mmspec.verify.lab import reading
from mmspec.verify.lab.masks import Places, evaluate
from mmspec.verify.reference import visible
from mmspec.verify.reference.modality import layout
from mmspec.verify.reference.places import Layout
from mmspec.verify.strategies import load
from mmspec.verify.strategies.masks import Held, expressions

PHOTO = Held("photo", "rows of 5", grid=True)
SCAN = Held("scan", "rows of 5", grid=True)
WIDE = Held("wide", "rows of 3", grid=True)
VOICE = Held("voice", "frames of 1/50 s", timed=True, packs=True)
PULSE = Held("pulse", "frames of 2/25 s", timed=True, packs=True)
TEXT = Held("text", "tokens", packs=True)
ROW = Held("row", "row")
SIDES: dict[Held, tuple[Layout, Places]] = {
    PHOTO: (Layout(20, (("row", 4), ("column", 5))), Places(20, 20, (4, 5), ("row", "column"))),
    SCAN: (Layout(15, (("row", 3), ("column", 5))), Places(15, 15, (3, 5), ("row", "column"))),
    WIDE: (Layout(6, (("row", 2), ("column", 3))), Places(6, 6, (2, 3), ("row", "column"))),
    VOICE: (Layout(40, period=Fraction(1, 50)), Places(17, 40, period=Fraction(1, 50))),
    PULSE: (Layout(40, period=Fraction(2, 25)), Places(11, 40, period=Fraction(2, 25))),
    TEXT: (Layout(300), Places(70, 300)),
    ROW: (Layout(4), Places(4, 4)),
}


def compare(text: str, query: Held, key: Held, documents: tuple[list[int], list[int]]) -> None:
    """Assert that both see the same pairs."""
    (ours, rows), (theirs, columns) = SIDES[query], SIDES[key]
    mask = masks.parse(text)
    queries = [ours.token(q, documents[0][q]) for q in range(rows.count)]
    keys = [theirs.token(k, documents[1][k]) for k in range(columns.count)]
    expected = [[visible(mask, q, k) for k in keys] for q in queries]
    drawn = [
        Places(p.count, p.most, p.shape, p.names, p.period, np.array(ids[: p.count], dtype=int))
        for p, ids in zip((rows, columns), documents, strict=True)
    ]
    assert evaluate(text, *drawn).tolist() == expected


@settings(max_examples=150)
@given(st.data())
def test_masks_between_any_segments(data: st.DataObject) -> None:
    query = data.draw(st.sampled_from(list(SIDES)))
    key = data.draw(st.sampled_from([query, *SIDES]))
    text = data.draw(expressions(frozenset({(query, key)})))
    ids = data.draw(st.lists(st.integers(0, 3), min_size=70, max_size=70))
    compare(text, query, key, (sorted(ids), sorted(ids)))


VIDEO = Layout(24, (("frame", 2), ("row", 4), ("column", 3)))
SHAPE = Places(24, 24, (2, 4, 3), ("frame", "row", "column"))


@pytest.mark.parametrize(
    "text",
    ["window2d(1)", "window3d(1)", "frame", "shifted_window(size=2, shift=1)"]
    + [f"axial({axis})" for axis in ("frame", "row", "column")],
)
def test_videos(text: str) -> None:
    mask = masks.parse(text)
    tokens = [VIDEO.token(index) for index in range(24)]
    expected = [[visible(mask, q, k) for k in tokens] for q in tokens]
    assert evaluate(text, SHAPE, SHAPE).tolist() == expected


DATA = """
mmspec: 1
name: sizes
dims: {p: 2, wide: 3*p + 1}
modalities:
  photo: {kind: image, size: [2*p, 12], patch: p}
  voice: {kind: audio, features: 1, rate: 1/2 kHz, length: {max: wide}, patch: p}
  text: {kind: tokens, vocab: 5, length: {max: (wide - 1)//4}}
  row: {kind: table, columns: {age: number, size: number}}
streams: {whole: {from: [photo, voice, text, row], depth: 1, width: 4, heads: 1}}
heads: {y: {kind: classifier, classes: 2, from: whole}}
"""


def test_both_read_the_same_places() -> None:
    spec = load(DATA)
    assert spec.document is not None
    for name, modality in spec.modalities.items():
        ours, theirs = layout(modality), reading.places(spec.document.data, name, 1)
        assert (ours.most, ours.period) == (theirs.most, theirs.period)
        assert ours.grid == tuple(zip(theirs.names, theirs.shape, strict=True))
    assert [layout(m).most for m in spec.modalities.values()] == [12, 4, 1, 2]
