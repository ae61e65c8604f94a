"""The spec's text read again, by other means than the compiler's: masks, and order of tokens."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Data = Mapping[str, Any]
_NAMES = {
    "window": ("before", "after"),
    "dilated": ("step", "reach"),
    "block": ("size",),
    "everyone": ("count",),
}


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


def is_stream(data: Data, name: str, reader: str) -> bool:
    """Whether a name that `reader` reads is a stream."""
    return name in data["streams"] and name != reader


def segments(data: Data, stream: str) -> list[str]:
    """Names of a stream's runs of tokens, in order: modalities, or itself for latents."""
    kind, sources = fusion(data, stream), names(data, stream)
    if kind == "attention":
        return [stream]
    kept = sources[:1] if kind == "cross-attention" else sources
    return [segment for name in kept for segment in of_source(data, name, stream)]


def of_source(data: Data, name: str, reader: str) -> list[str]:
    """Names of the runs of tokens that a source brings."""
    return segments(data, name) if is_stream(data, name, reader) else [name]


def matrix(said: Any, queries: Mapping[str, int], keys: Mapping[str, int]) -> Bools:
    """Who sees whom under the text of an `attention`, for segments of these lengths."""
    rows = [np.concatenate([_piece(said, queries, keys, (q, k)) for k in keys], 1) for q in queries]
    return np.concatenate(rows)


def _piece(
    said: Any, queries: Mapping[str, int], keys: Mapping[str, int], pair: tuple[str, str]
) -> Bools:
    query, key = pair
    shape = (queries[query], keys[key])
    if isinstance(said, dict):
        found = {tuple(text.replace("->", " ").split()): mask for text, mask in said.items()}
        return evaluate(str(found.get(pair, "none")), *shape)
    several = len(queries) > 1 or len(keys) > 1
    if several and str(said).strip() == "causal" and query != key:
        earlier = list(keys).index(key) < list(queries).index(query)
        return np.full(shape, earlier, dtype=np.bool_)
    return evaluate(str(said), *shape)


def evaluate(text: str, queries: int, keys: int) -> Bools:
    """A mask's text at every pair: bool [queries, keys]; Python's own grammar binds ~ & | alike."""
    tree = ast.parse(re.sub(r"\bglobal\b", "everyone", text.strip()), mode="eval")
    q, k = np.arange(queries)[:, None], np.arange(keys)[None, :]
    seen: Bools = _evaluate(tree.body, q, k) & np.ones((queries, keys), dtype=np.bool_)
    return seen


def _evaluate(node: ast.expr, q: Any, k: Any) -> Any:
    if isinstance(node, ast.UnaryOp):
        return ~_evaluate(node.operand, q, k)
    if isinstance(node, ast.BinOp):
        left, right = _evaluate(node.left, q, k), _evaluate(node.right, q, k)
        return left & right if isinstance(node.op, ast.BitAnd) else left | right
    name, given = _called(node)
    return _pattern(name, given, q, k)


def _called(node: ast.expr) -> tuple[str, dict[str, int]]:
    """A pattern's name and its arguments by name."""
    if isinstance(node, ast.Name):
        return node.id, {}
    assert isinstance(node, ast.Call) and isinstance(node.func, ast.Name), ast.dump(node)
    order = _NAMES.get(node.func.id, ())
    given = {order[i]: int(ast.literal_eval(value)) for i, value in enumerate(node.args)}
    given |= {str(word.arg): int(ast.literal_eval(word.value)) for word in node.keywords}
    return node.func.id, given


def _pattern(name: str, given: Mapping[str, int], q: Any, k: Any) -> Any:
    if name in ("full", "none"):
        return np.full(np.broadcast_shapes(q.shape, k.shape), name == "full")
    if name == "causal":
        return q >= k
    if name == "window":
        return (k >= q - given.get("before", 0)) & (k <= q + given.get("after", 0))
    if name == "dilated":
        return (np.abs(q - k) <= given["reach"]) & (np.mod(q - k, given["step"]) == 0)
    if name == "block":
        return np.floor_divide(q, given["size"]) == np.floor_divide(k, given["size"])
    assert name == "everyone", name
    return (q < given["count"]) | (k < given["count"])
