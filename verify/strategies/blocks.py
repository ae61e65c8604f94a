"""What a layer does, drawn for a stream: sub-layers in order, and some in parallel."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from mmspec.verify.strategies import masks

_FEED_FORWARDS: Final = ("same", {"kind": "mlp", "width": 3}, {"kind": "glu", "activation": "relu"})
"""None of the others routes: those of a stream that do are alike."""


@st.composite
def block(
    draw: st.DrawFn, body: dict[str, Any], held: tuple[masks.Held, ...], others: tuple[str, ...]
) -> list[Any]:
    """The entries of a drawn stream's `block`; others: the streams that it may read."""
    norms = [body.get("norm"), *(kind.get("norm") for kind in body.get("variants", {}).values())]
    placements = {norm.get("placement") for norm in norms if isinstance(norm, dict)}
    found: list[Any] = []
    for _ in range(draw(st.integers(1, 3))):
        parallel = "post" not in placements and draw(st.sampled_from([False, False, True]))
        count = draw(st.integers(2, 3)) if parallel else 1
        entries = [
            draw(_cross(others, norms))
            if others and draw(st.sampled_from([False, True]))
            else draw(_entry(body, held))
            for _ in range(count)
        ]
        shared = not placements - {None, "pre"} and "none" not in norms and draw(st.booleans())
        norm = {"norm": "shared"} if shared else {}
        found.append({"parallel": entries, **norm} if parallel else entries[0])
    if draw(st.sampled_from([False, False, True])):
        found[-1] = {**_mapping(found[-1]), "name": "last"}
    return found


def inner(entry: Any) -> list[Any]:
    """What an entry holds: what is in parallel, or itself."""
    return entry["parallel"] if isinstance(entry, dict) and "parallel" in entry else [entry]


def _mapping(entry: Any) -> dict[str, Any]:
    return entry if isinstance(entry, dict) else {entry: "same"}


@st.composite
def _cross(draw: st.DrawFn, others: tuple[str, ...], norms: list[Any]) -> dict[str, Any]:
    """What is read of another stream, often with keys of its own."""
    entry: dict[str, Any] = {"cross": draw(st.sampled_from(others))}
    words = [norm["kind"] if isinstance(norm, dict) and "kind" in norm else norm for norm in norms]
    fits = not any(str(word).startswith(("none", "group")) for word in words)
    if fits and draw(st.booleans()):
        entry["norm_keys"] = True
    if draw(st.sampled_from([False, False, True])):
        entry |= {"heads": 2, "kv_heads": draw(st.sampled_from([1, 2])), "head_width": 3}
    if draw(st.sampled_from([False, False, True])):
        entry["scores"] = draw(
            st.sampled_from([{"sink": True}, {"qk_norm": "rms", "scale": 2}, {"qk_norm": "layer"}])
        )
    if draw(st.sampled_from([False, False, True])):
        entry["scale"] = draw(st.sampled_from([0.5, "learned", "gate"]))
    if draw(st.sampled_from([False, False, True])):
        entry["bias"] = draw(st.sampled_from([False, {"key": False}, {"output": False}]))
    return entry


@st.composite
def _entry(draw: st.DrawFn, body: dict[str, Any], held: tuple[masks.Held, ...]) -> Any:
    """A word, or a word with keys of its own."""
    if draw(st.booleans()):
        return draw(st.sampled_from(["attention", "feed_forward"]))
    entry: dict[str, Any] = {}
    if draw(st.booleans()):
        heads = body["heads"], body.get("kv_heads", body["heads"])
        alike = len({body["heads"], *(k.get("heads") for k in body.get("variants", {}).values())})
        own = alike < 3 and draw(st.booleans())
        entry["attention"] = draw(masks.attention(held, held, *heads)) if own else "same"
    else:
        entry["feed_forward"] = draw(st.sampled_from(_FEED_FORWARDS))
    if draw(st.booleans()):
        entry["scale"] = draw(st.sampled_from([0.5, 2, "learned(0.1)", "gate"]))
    if draw(st.sampled_from([False, False, True])):
        entry["bias"] = draw(st.booleans())
    return entry
