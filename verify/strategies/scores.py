"""What q k becomes before the softmax, drawn for a stream."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from mmspec.schema.scores import KINDS, NORMS

_RELATIVE: Final = {
    "alibi": ["alibi"],
    "buckets": ["buckets(8, 5)", "buckets(3, 2, sides=1)", "buckets"],
    "offsets": ["offsets(2)", "offsets(1)"],
}
"""Relative scores by the names of their kinds."""


@st.composite
def scores(draw: st.DrawFn, segments: list[str]) -> dict[str, Any]:
    """Norms of queries and keys, a scale, relative scores of a sequence or of some segments."""
    body: dict[str, Any] = {}
    if draw(st.booleans()):
        norm: dict[str, Any] = {"kind": draw(st.sampled_from([*NORMS])), "eps": 0.1}
        norm |= draw(st.sampled_from([{}, {"over": "heads"}, {"offset": 1}]))
        body["qk_norm"] = draw(st.sampled_from([norm, str(norm["kind"])]))
    if draw(st.booleans()):
        body["scale"] = draw(st.sampled_from([0.3, 2]))
    if draw(st.booleans()):
        body["sink"] = True
    if draw(st.booleans()) and body:
        return body
    kind = draw(st.sampled_from(_RELATIVE[draw(st.sampled_from([*KINDS]))]))
    if KINDS[str(kind).partition("(")[0]].learns and draw(st.booleans()):
        body["tied"] = True
    if len(segments) == 1 and draw(st.booleans()):
        return {**body, "relative": kind}
    some = draw(st.lists(st.sampled_from(segments), min_size=1, unique=True))
    return {**body, "relative": {f"{name} -> {name}": kind for name in some}}
