"""Heads and objectives, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

NAMES = {
    "classifier": "label",
    "regressor": "value",
    "language-model": "next_word",
    "contrastive": "match",
}


_PATHS: tuple[Any, ...] = (
    ["linear(7)", "tanh"],
    ["norm(0.1)", "linear(8)", "gelu"],
    ["linear(6)", "glu", "norm"],
    ["linear(9, bias=false)", "quick-gelu", {"kind": "linear", "features": 5}, "relu"],
)
"""Steps before an output."""
_KEEPING: tuple[Any, ...] = (["norm(0.1)"], ["gelu", "norm"], ["tanh"])
"""Those that leave the width as it is."""
POOLS = ("mean", "first", "last")


def pooled(more: Sequence[str] = ()) -> SearchStrategy[dict[str, Any]]:
    """A classifier or a regressor, without its `from`; more: further pools of what it reads."""
    return st.one_of(classifier(more), _regressor(more))


@st.composite
def classifier(draw: st.DrawFn, more: Sequence[str] = ()) -> dict[str, Any]:
    """A classifier, without its `from`; more: further pools of what it reads."""
    classes = draw(st.sampled_from([5, 2, 7]))
    return {"kind": "classifier", "classes": classes} | draw(_pool(more))


@st.composite
def _regressor(draw: st.DrawFn, more: Sequence[str]) -> dict[str, Any]:
    return {"kind": "regressor", "outputs": draw(st.integers(1, 3))} | draw(_pool(more))


@st.composite
def _pool(draw: st.DrawFn, more: Sequence[str]) -> dict[str, Any]:
    pool = draw(st.sampled_from([None, *POOLS, *more]))
    path = draw(st.sampled_from([None, None, None, *_PATHS]))
    found = {"pool": pool, "through": path}
    return {key: value for key, value in found.items() if value is not None}


@st.composite
def language_model(draw: st.DrawFn, segments: list[str], tieable: set[str]) -> dict[str, Any]:
    """A language model over one of a stream's tokens segments, without its `from`."""
    chosen = draw(st.sampled_from(segments))
    body: dict[str, Any] = {"kind": "language-model"}
    if len(segments) > 1 or draw(st.booleans()):
        body["modality"] = chosen
    if chosen not in tieable or draw(st.booleans()):
        body["tied"] = False
    if draw(st.sampled_from([False, False, False, True])):
        body["scale"] = 0.3
    if draw(st.sampled_from([False, False, False, True])):
        body["bias"] = True
    if draw(st.sampled_from([False, False, False, True])):
        body["through"] = draw(st.sampled_from(_PATHS if body.get("tied") is False else _KEEPING))
    return body


@st.composite
def contrastive(draw: st.DrawFn, streams: dict[str, list[str]]) -> dict[str, Any]:
    """A contrastive head of two of these streams, which have further pools."""
    names = st.sampled_from([*streams])
    sides = draw(st.lists(names, min_size=2, max_size=2, unique=True))
    body: dict[str, Any] = {"kind": "contrastive", "from": sides}
    body["width"] = draw(st.sampled_from([3, 8]))
    if draw(st.sampled_from([False, False, True])):
        named = draw(st.sets(st.sampled_from(sides), min_size=1))
        pools = {x: draw(st.sampled_from([*POOLS, *streams[x]])) for x in sides if x in named}
        body["pool"] = pools if draw(st.booleans()) else draw(st.sampled_from(POOLS))
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
        if heads[name]["kind"] == "language-model" and draw(st.booleans()):
            body["loss"] = "masked"
        found[name] = body
    return found
