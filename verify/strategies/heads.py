"""Heads and objectives, as plain data."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

NAMES = {
    "classifier": "label",
    "regressor": "value",
    "language-model": "next_word",
    "contrastive": "match",
}


def pooled() -> SearchStrategy[dict[str, Any]]:
    """A classifier or a regressor, without its `from`."""
    return st.one_of(classifier(), _regressor())


@st.composite
def classifier(draw: st.DrawFn) -> dict[str, Any]:
    """A classifier, without its `from`."""
    return {"kind": "classifier", "classes": draw(st.sampled_from([5, 2, 7]))} | draw(_pool())


@st.composite
def _regressor(draw: st.DrawFn) -> dict[str, Any]:
    return {"kind": "regressor", "outputs": draw(st.integers(1, 3))} | draw(_pool())


@st.composite
def _pool(draw: st.DrawFn) -> dict[str, Any]:
    pool = draw(st.sampled_from([None, "mean", "first", "last"]))
    return {"pool": pool} if pool else {}


@st.composite
def language_model(draw: st.DrawFn, segments: list[str], tieable: set[str]) -> dict[str, Any]:
    """A language model over one of a stream's tokens segments, without its `from`."""
    chosen = draw(st.sampled_from(segments))
    body: dict[str, Any] = {"kind": "language-model"}
    if len(segments) > 1 or draw(st.booleans()):
        body["modality"] = chosen
    if chosen not in tieable or draw(st.booleans()):
        body["tied"] = False
    return body


@st.composite
def contrastive(draw: st.DrawFn, streams: list[str]) -> dict[str, Any]:
    """A contrastive head of two of these streams."""
    sides = draw(st.lists(st.sampled_from(streams), min_size=2, max_size=2, unique=True))
    body: dict[str, Any] = {"kind": "contrastive", "from": sides}
    body["width"] = draw(st.sampled_from([3, 8]))
    if draw(st.booleans()):
        body["temperature"] = 0.5
    return body


@st.composite
def objectives(draw: st.DrawFn, heads: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Weights and smoothing for some of the heads."""
    found = {}
    for name in draw(st.lists(st.sampled_from(sorted(heads)), unique=True)):
        body: dict[str, Any] = {"weight": draw(st.sampled_from([0.5, 2, 0]))}
        if heads[name]["kind"] == "classifier" and draw(st.booleans()):
            body["smoothing"] = draw(st.sampled_from([0.1, 1]))
        found[name] = body
    return found
