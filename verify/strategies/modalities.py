"""Modalities of every kind, as plain data."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

KINDS = ("tokens", "image", "audio", "table", "tokens", "series", "video", "image")
NAMES = {
    "tokens": ("text", "title"),
    "image": ("image", "photo"),
    "video": ("clip", "scene"),
    "audio": ("audio", "voice"),
    "table": ("table", "row"),
    "series": ("motion", "pulse"),
}
DIVISOR = {"sincos": 2, "sincos-2d": 4}
"""What the width of a stream that reads such a position is a multiple of."""


_CALLS = {
    "learned": ("learned(2)",),
    "sincos": ("sincos(3)", "sincos(interleaved=false)", {"kind": "sincos", "offset": 1}),
}
"""Positions with arguments."""


_NORMS: tuple[Any, ...] = ({"kind": "rms", "eps": 0.1}, "group(1)", {"offset": 1})
"""Norms that go with any width."""


_STEPS = (
    *("norm", "norm(0.1)", "relu", "gelu", "silu", "mean(kernel=3)", "max(kernel=3)"),
    *("convolution(6, kernel=3)", "convolution(4, kernel=3, dilation=2, bias=false)", "linear(5)"),
    *("batch-norm", "batch-norm(0.1, momentum=0.5)"),
)


_RUNS = (
    *("norm", "gelu", "relu", "convolution(6, kernel=3)", "convolution(6, kernel=3, groups=2)"),
    *("convolution(6, kernel=5, bias=false)", "linear(6)"),
)


_ADDED: tuple[Any, ...] = (
    {"segment": {"categories": 3}},
    {"box": {"numbers": 2}, "turn": {"categories": 2}},
)


def kind_of(position: Any) -> str:
    """The kind of a position that was drawn."""
    return str(position["kind"]) if isinstance(position, dict) else str(position).split("(")[0]


@st.composite
def modalities(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    """One to three modalities by name."""
    found: dict[str, dict[str, Any]] = {}
    count = draw(st.integers(1, 3))
    for kind in draw(st.lists(st.sampled_from(KINDS), min_size=count, max_size=count)):
        free = [name for name in NAMES[kind] if name not in found]
        if free:
            found[free[0]] = draw(_modality(kind))
    return found


@st.composite
def _modality(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    body: dict[str, Any] = {"kind": kind, **draw(_BODIES[kind])}
    positions = ["none", "learned", "sincos", "rotary"]
    if kind == "table":
        positions = ["none", "learned"]
    if kind in ("image", "video"):
        positions.append("sincos-2d")
    position = draw(st.sampled_from(positions))
    if position != "none":
        body["position"] = draw(st.sampled_from([position, *_CALLS.get(position, ())]))
    if draw(st.booleans()):
        body["optional"] = True
    return body | draw(_finish()) if draw(st.sampled_from([False, False, True])) else body


@st.composite
def _finish(draw: st.DrawFn) -> dict[str, Any]:
    """What its tokens become once they are placed, and which maps have a bias."""
    found = {
        "scale": draw(st.sampled_from([None, 0.5, "sqrt(8)", 3])),
        "norm": draw(st.sampled_from([None, "layer", *_NORMS])),
        "bias": draw(st.sampled_from([None, False, {"patch": False}, {"norm": False}])),
        "add": draw(st.sampled_from([None, None, *_ADDED])),
        "lead": draw(st.sampled_from([None, None, {"cls": 1}, {"note": 2, "cls": 1}])),
    }
    return {key: value for key, value in found.items() if value is not None}


@st.composite
def _tokens(draw: st.DrawFn) -> dict[str, Any]:
    length = {"max": draw(st.integers(1, 13))}
    if draw(st.sampled_from([False, False, False, True])):
        return {"vocab": 256, "length": length, "ngrams": draw(_ngrams())}
    return {"vocab": draw(st.sampled_from([11, 2, 17, 23])), "length": length}


@st.composite
def _ngrams(draw: st.DrawFn) -> dict[str, Any]:
    found = {
        "sizes": draw(st.sampled_from([None, "2..3", 4, "3..9"])),
        "buckets": draw(st.sampled_from([7, 32, 101])),
        "words": draw(st.sampled_from([None, True])),
        "lower": draw(st.sampled_from([None, True])),
        "dropout": draw(st.sampled_from([None, 0.5])),
    }
    return {key: value for key, value in found.items() if value is not None}


@st.composite
def _image(draw: st.DrawFn) -> dict[str, Any]:
    patch, rows, columns = draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    body: dict[str, Any] = {"size": [rows * patch, columns * patch], "patch": patch}
    if draw(st.sampled_from([False, False, False, True])):
        more = draw(st.sampled_from([0, 0, 1, 3]))
        body = {"size": [4 * rows + more, 4 * columns], "stem": draw(_stem())}
    channels = draw(st.sampled_from([3, 1, 2]))
    return body if channels == 3 else {**body, "channels": channels}


@st.composite
def _video(draw: st.DrawFn) -> dict[str, Any]:
    patch, rows, columns = draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 3))
    body: dict[str, Any] = {"size": [rows * patch, columns * patch], "patch": patch}
    body |= {"rate": draw(st.sampled_from(["25 Hz", "30 Hz"]))}
    body |= {"length": {"max": draw(st.integers(1, 5))}}
    channels, tubelet = draw(st.sampled_from([3, 1, 2])), draw(st.integers(1, 3))
    body |= {} if channels == 3 else {"channels": channels}
    return body if tubelet == 1 else {**body, "tubelet": tubelet}


@st.composite
def _stem(draw: st.DrawFn) -> list[Any]:
    """Strides of 4 together; how much the last step gives is put in where readers are known."""
    down = draw(st.sampled_from([("mean", 2), ("max", 2), ("convolution", 2), ("convolution", 4)]))
    square = f"kernel={draw(st.sampled_from([down[1], 3]))}, stride={down[1]}"
    found: list[Any] = [f"{down[0]}({'4, ' * (down[0] == 'convolution')}{square})"]
    found += draw(st.lists(st.sampled_from(_STEPS), max_size=3))
    if down[1] == 2:
        found.append({"kind": "convolution", "features": 6, "kernel": 3, "stride": 2})
    gated = ["glu"] * (down[1] == 2 and draw(st.booleans()))
    return [*found, *gated, "linear(1)"]


@st.composite
def _frames(draw: st.DrawFn) -> dict[str, Any]:
    body: dict[str, Any] = {
        "features": draw(st.sampled_from([1, 3, 5])),
        "rate": draw(st.sampled_from(["50 Hz", "12.5 Hz"])),
        "length": {"max": draw(st.integers(1, 17))},
    }
    if draw(st.sampled_from([False, False, False, True])):
        body |= {"length": {"max": draw(st.sampled_from([12, 4, 16]))}, "stem": draw(_time_stem())}
        return body
    patch = draw(st.integers(1, 4))
    return body if patch == 1 else {**body, "patch": patch}


@st.composite
def _time_stem(draw: st.DrawFn) -> list[Any]:
    """Strides of 4 together; the last step is fitted as of other stems."""
    by = draw(st.sampled_from([2, 4]))
    found: list[Any] = [f"convolution(6, kernel={draw(st.sampled_from([3, 5]))}, stride={by})"]
    found += draw(st.lists(st.sampled_from(_RUNS), max_size=2))
    if by == 2:
        found.append({"kind": "convolution", "features": 6, "kernel": 3, "stride": 2})
    gated = ["glu"] * (by == 2 and draw(st.booleans()))
    return [*found, *gated, "linear(1)"]


@st.composite
def _table(draw: st.DrawFn) -> dict[str, Any]:
    column = st.one_of(
        st.just("number"), st.sampled_from([3, 2, 5]).map(lambda n: {"categories": n})
    )
    columns = draw(st.lists(column, min_size=1, max_size=4))
    return {"columns": {f"column{i}": body for i, body in enumerate(columns)}}


_BODIES = {
    "tokens": _tokens(),
    "image": _image(),
    "video": _video(),
    "audio": _frames(),
    "series": _frames(),
    "table": _table(),
}
