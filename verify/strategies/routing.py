"""Feed-forward layers of every kind, as plain data."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from mmspec.schema.routing import KINDS

INNER = (11, 13, 17, 19, 6)
ACTIVATIONS = ("gelu", "gelu-tanh", "relu", "silu", "quick-gelu")


@st.composite
def feed_forward(draw: st.DrawFn) -> dict[str, Any]:
    """Of a stream; keys are often left at their defaults."""
    kind = draw(st.sampled_from([*KINDS]))
    keys = KINDS[kind].model_fields
    body: dict[str, Any] = {"kind": kind}
    if draw(st.booleans()):
        body["width"] = draw(st.sampled_from(INNER))
    if draw(st.booleans()):
        body["activation"] = draw(st.sampled_from(ACTIVATIONS))
    if "experts" in keys:
        body["experts"] = draw(st.integers(1, 5))
        if draw(st.booleans()):
            body["balance"] = draw(st.sampled_from([0.5, 0.0, 0.03]))
    if "choose" in keys:
        body["choose"] = draw(st.integers(1, body["experts"]))
        if draw(st.booleans()):
            body["renormalise"] = draw(st.booleans())
    return body
