"""Layers of several kinds, drawn for a stream."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from mmspec.verify.strategies import masks

_FEED_FORWARDS: Final = (
    {"kind": "mlp", "width": 3},
    {"kind": "glu", "activation": "relu"},
    {"kind": "by-modality", "width": 2},
)
"""None of them routes: those of a stream that do are alike."""

_NORMS: Final = ("rms", {"eps": 0.01}, {"placement": "post"}, "layer")

_TURNINGS: Final = ({"base": 100}, {"interleaved": True}, "none", {"scaling": "linear(3)"})


@st.composite
def varied(
    draw: st.DrawFn, body: dict[str, Any], held: tuple[masks.Held, ...], rotary: bool
) -> dict[str, Any]:
    """Variants and the order of layers, or how often these are applied, for a drawn stream."""
    found: dict[str, Any] = {}
    if "halting" not in body and draw(st.sampled_from([False, True])):
        found["repeat"] = 2
    heads = body["heads"], body.get("kv_heads", body["heads"])
    names = ["near", "far"] if body["depth"] > 1 else ["near"]
    kinds: dict[str, Any] = {}
    for name in names:
        kind: dict[str, Any] = {}
        if draw(st.sampled_from([True, True, False])):
            kind["attention"] = draw(masks.attention(held, held, *heads))
        if draw(st.sampled_from([False, True])):
            kind["feed_forward"] = draw(st.sampled_from(_FEED_FORWARDS))
        if "norm" not in body and draw(st.sampled_from([False, True])):
            kind["norm"] = draw(st.sampled_from(_NORMS))
        if draw(st.sampled_from([False, False, True])):
            kind["bias"] = draw(st.booleans())
        if rotary and draw(st.sampled_from([False, True])):
            kind["rotary"] = draw(st.sampled_from(_TURNINGS))
        kinds[name] = kind
    orders = [["near*rest", "far"], ["far", "near*rest"], ["near", "far"]]
    layers = draw(st.sampled_from(orders)) if len(names) > 1 else ["near"]
    return {**found, "variants": kinds, "layers": layers}
