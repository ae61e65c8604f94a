"""The spec's text read again, by other means than the compiler's: masks, and order of tokens."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Final

import numpy as np

from mmspec.schema.fusion import KINDS
from mmspec.verify.lab.masks import Bools, Ints, Places, evaluate

Data = Mapping[str, Any]
Segments = Mapping[str, Places]


def names(data: Data, stream: str) -> list[str]:
    """What a stream's `from` names, in order."""
    source = data["streams"][stream]["from"]
    if isinstance(source, dict):
        source = source["of"]
    return [source] if isinstance(source, str) else list(source)


def fusion(data: Data, stream: str) -> str:
    """The fusion of a stream; concat where it names none."""
    source = data["streams"][stream]["from"]
    return str(source["fusion"]) if isinstance(source, dict) else "concat"


def keeps(data: Data, stream: str) -> str:
    """Whose tokens the fusion of a stream gives: those of all its sources, the first, or none."""
    source = data["streams"][stream]["from"]
    if isinstance(source, dict) and source.get("pool") == "others":
        return "first"
    return KINDS[fusion(data, stream)].keeps


def is_stream(data: Data, name: str, reader: str) -> bool:
    """Whether a name that `reader` reads is a stream."""
    return name in data["streams"] and name != reader


def segments(data: Data, stream: str) -> list[str]:
    """Names of a stream's runs of tokens, in order: modalities, or itself for latents."""
    sources = names(data, stream)
    if keeps(data, stream) == "none":
        return [stream]
    kept = sources[:1] if keeps(data, stream) == "first" else sources
    return [segment for name in kept for segment in of_source(data, name, stream)]


def of_source(data: Data, name: str, reader: str) -> list[str]:
    """Names of the runs of tokens that a source brings."""
    if is_stream(data, name, reader):
        return segments(data, name)
    return [*(f"{name}.{lead}" for lead in data["modalities"][name].get("lead", ())), name]


def attention(data: Data, stream: str, place: int, which: int) -> dict[str, Any]:
    """What is said of one attention of a layer: by the layer, and over it by its entry."""
    said = layer(data, stream, place)
    every = _entries(said)
    own = [entry for entry in every if entry == "attention" or "attention" in entry][which]
    if isinstance(own, str):
        return said
    return {**said, **{key: value for key, value in own.items() if value != "same"}}


def crosses(data: Data, stream: str, place: int) -> list[str]:
    """The streams that a layer reads by `cross`, in order."""
    every = _entries(layer(data, stream, place))
    return [entry["cross"] for entry in every if isinstance(entry, dict) and "cross" in entry]


def _entries(said: Data) -> list[Any]:
    """What a layer does; what is in parallel, one after the other."""
    entries: list[Any] = []
    for entry in said.get("block", ("attention",)):
        entries += entry["parallel"] if "parallel" in entry else [entry]
    return entries


def layer(data: Data, stream: str, place: int) -> dict[str, Any]:
    """What a stream and the streams that it is like say of one of its layers, counted from 0.

    Where several say something of one mapping, only what the nearest says is there.
    """
    said = _said(data, stream)
    if "variants" not in said:
        return said
    depth = size(data, said["depth"])
    runs = [[part.strip() for part in str(run).split("*", 1)] for run in said["layers"]]
    counts = [1 if len(run) == 1 else run[1] for run in runs]
    known = [0 if count == "rest" else size(data, count) for count in counts]
    left = depth - sum(known)
    known = [left if count == "rest" else n for count, n in zip(counts, known, strict=True)]
    order = [run[0] for run, count in zip(runs, known, strict=True) for _ in range(count)]
    return {**said, **said["variants"][order[place % len(order)]]}


def _said(data: Data, stream: str) -> dict[str, Any]:
    own = data["streams"][stream]
    if "like" not in own:
        return dict(own)
    other = _said(data, own["like"])
    base = {key: value for key, value in other.items() if key != "halting"}
    variants = {**other.get("variants", {}), **own.get("variants", {})}
    both = {name: {**other.get("variants", {}).get(name, {}), **v} for name, v in variants.items()}
    return {**base, **own, **({"variants": both} if both else {})}


def size(data: Data, value: Any) -> int:
    """A size as it is written: a number, or an expression of `dims`."""
    return value if isinstance(value, int) else int(number(data, value))


def number(data: Data, text: str) -> Fraction | float:
    """What an expression of `dims` is: exact, but for roots."""
    dims: dict[str, Fraction | float] = {}
    for name, said in data.get("dims", {}).items():
        dims[name] = _evaluated(ast.parse(str(said), mode="eval").body, dims)
    return _evaluated(ast.parse(text.strip(), mode="eval").body, dims)


def _evaluated(node: ast.expr, dims: Mapping[str, Fraction | float]) -> Fraction | float:
    match node:
        case ast.Name(name):
            return dims[name]
        case ast.UnaryOp(operand=inner):
            return -_evaluated(inner, dims)
        case ast.BinOp(left, sign, right):
            sides = _evaluated(left, dims), _evaluated(right, dims)
            joined: Fraction | float = _JOINED[type(sign)](*sides)
            return joined
        case ast.Call(func=ast.Name(name), args=given):
            values = [_evaluated(each, dims) for each in given]
            found: Fraction | float = _CALLED[name](*values)
            return found
    return Fraction(str(ast.literal_eval(node)))


_JOINED: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}
_CALLED: Final[Mapping[str, Callable[..., Any]]] = {"min": min, "max": max, "sqrt": math.sqrt}


def places(data: Data, name: str, count: int, documents: Ints | None = None) -> Places:
    """How the first tokens of a modality stand, by the text of the spec."""
    if "." in name:
        return Places(count, count)
    body = data["modalities"][name]
    if body["kind"] == "image":
        shape = tuple(_along(data, body, size(data, side)) for side in body["size"])
        return Places(count, shape[0] * shape[1], shape, ("row", "column"))
    if body["kind"] == "table":
        return Places(count, len(body["columns"]))
    most, patch = size(data, body["length"]["max"]), size(data, body.get("patch", 1))
    if body["kind"] == "tokens":
        return Places(count, most, documents=documents)
    if body["kind"] == "video":
        deep = size(data, body.get("tubelet", 1))
        shape = (-(-most // deep), *(size(data, side) // patch for side in body["size"]))
        period = deep / _hertz(body["rate"])
        return Places(count, math.prod(shape), shape, ("frame", "row", "column"), period)
    patch = _cell(data, body) if "stem" in body else patch
    period = patch / _hertz(body["rate"])
    return Places(count, -(-most // patch), period=period, documents=documents)


def _cell(data: Data, image: Data) -> int:
    """Pixels from a token to the next: those of a patch, or all strides of a stem together."""
    if "patch" in image:
        return size(data, image["patch"])
    return math.prod(_told(data, step).get("stride", 1) for step in image["stem"])


def _along(data: Data, image: Data, pixels: int) -> int:
    """Tokens of so many rows, or columns, of pixels."""
    if "patch" in image:
        return pixels // _cell(data, image)
    for step in image["stem"]:
        told = _told(data, step)
        kernel, stride = told.get("kernel", 1), told.get("stride", 1)
        reach = (kernel - 1) * told.get("dilation", 1)
        pad = told.get("pad", 0 if kernel == stride else reach // 2)
        pixels = len(range(0, pixels + 2 * pad - reach, stride))
    return pixels


_ORDER: Final = {
    "convolution": ("features", "kernel", "stride", "groups", "dilation", "pad"),
    **dict.fromkeys(("mean", "max"), ("kernel", "stride", "pad")),
}
"""Of the arguments of steps that read squares."""


def _told(data: Data, step: Any) -> dict[str, int]:
    """The sizes that a step of a stem says, by their names."""
    if isinstance(step, str):
        word, _, rest = step.rstrip(") ").partition("(")
        given = [each.rpartition("=") for each in rest.split(",")] if rest else []
        order = _ORDER.get(word.strip(), ())
        step = {name.strip() or order[i]: x for i, (name, _, x) in enumerate(given) if order}
    sizes = {key: x for key, x in step.items() if key in _ORDER["convolution"]}
    return {
        key: size(data, int(x) if str(x).strip().isdecimal() else x) for key, x in sizes.items()
    }


def _hertz(text: Any) -> Fraction:
    """Of `100 Hz`, exact."""
    number, unit = re.fullmatch(r"([\d./]+) *(k?)Hz", str(text).strip()).groups()  # type: ignore[union-attr]
    above, _, below = number.partition("/")
    return Fraction(above) / Fraction(below or 1) * (1000 if unit else 1)


def by_head(said: Any, heads: int, queries: Segments, keys: Segments, data: Data) -> Bools:
    """Who sees whom in every head under an `attention`: bool [heads, queries, keys]."""
    if not isinstance(said, list):
        return np.stack([matrix(said, queries, keys)] * heads)
    found = [
        piece
        for group in said
        for piece in [matrix(group["mask"], queries, keys)] * size(data, group["heads"])
    ]
    return np.stack(found)


def matrix(said: Any, queries: Segments, keys: Segments) -> Bools:
    """Who sees whom under a mask or masks by pair, for segments of these tokens."""
    rows = [np.concatenate([_piece(said, queries, keys, (q, k)) for k in keys], 1) for q in queries]
    return np.concatenate(rows)


def _piece(said: Any, queries: Segments, keys: Segments, pair: tuple[str, str]) -> Bools:
    query, key = pair
    sides = queries[query], keys[key]
    if isinstance(said, dict):
        found = {tuple(text.replace("->", " ").split()): mask for text, mask in said.items()}
        return evaluate(str(found.get(pair, "none")), *sides)
    if list(queries) == list(keys) and str(said).strip() == "causal" and query != key:
        earlier = list(keys).index(key) < list(queries).index(query)
        return np.full((sides[0].count, sides[1].count), earlier, dtype=np.bool_)
    return evaluate(str(said), *sides)
