"""What docs/language.md says, as plain loops over samples, tokens, heads and features.

Every function takes one sample; vectors are lists of scalars, so that no operator of the parts is
used here, and gradients come from additions and products alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

Vector = list[Tensor]
Matrix = list[Vector]
Weights = Mapping[str, Tensor]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": lambda x: x * (1 + torch.erf(x / math.sqrt(2))) / 2,
    "gelu-tanh": lambda x: x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
    "relu": lambda x: x if x > 0 else x * 0,
    "silu": lambda x: x / (1 + torch.exp(-x)),
    "quick-gelu": lambda x: x / (1 + torch.exp(-1.702 * x)),
}
"""Every activation of the language, from its formula."""


def zero() -> Tensor:
    """The number 0."""
    return torch.zeros((), dtype=torch.float64)


def total(terms: Sequence[Tensor]) -> Tensor:
    """The sum of some numbers, 0 for none."""
    result = zero()
    for term in terms:
        result = result + term
    return result


def dot(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Sum of products."""
    return total([x * y for x, y in zip(a, b, strict=True)])


def vectors(x: Tensor) -> Matrix:
    """A tensor [n, m] as n lists of m scalars."""
    return [list(row.unbind()) for row in x.unbind()]


def stacked(rows: Matrix) -> Tensor:
    """Lists of scalars as a tensor again."""
    return torch.stack([torch.stack(row) for row in rows])


def under(weights: Weights, prefix: str) -> Weights:
    """The weights below a module."""
    start = f"{prefix}."
    return {name[len(start) :]: x for name, x in weights.items() if name.startswith(start)}


def linear(weights: Weights, name: str, x: Vector) -> Vector:
    """`name.weight` times a vector, plus `name.bias` where there is one."""
    products = [dot(row, x) for row in vectors(weights[f"{name}.weight"])]
    bias = weights.get(f"{name}.bias")
    return products if bias is None else [y + b for y, b in zip(products, bias, strict=True)]


def norm(
    weights: Weights, name: str, x: Vector, eps: float, kind: str = "layer", groups: int = 1
) -> Vector:
    """A layer norm or one by groups (with bias or not), or a root-mean-square norm."""
    run, spread = len(x) // groups, []
    for first in range(0, len(x), run):
        group = x[first : first + run]
        mean = zero() if kind == "rms" else total(group) / run
        centred = [value - mean for value in group]
        scale = 1 / torch.sqrt(total([value * value for value in centred]) / run + eps)
        spread += [value * scale for value in centred]
    out = [v * w for v, w in zip(spread, weights[f"{name}.weight"], strict=True)]
    bias = weights.get(f"{name}.bias")
    return out if bias is None else [y + b for y, b in zip(out, bias, strict=True)]


def softmax(scores: Sequence[Tensor]) -> Vector:
    """Exponentials over their sum, for scores that are not large."""
    powers = [torch.exp(score) for score in scores]
    return [power / total(powers) for power in powers]


def turned(x: Vector, position: int) -> Vector:
    """Rotary: each pair (i, i + w/2) of a head turned by position / 10000^(2i/w)."""
    half = len(x) // 2
    out = list(x)
    for i in range(half):
        angle = position / 10000 ** (2 * i / len(x))
        cos, sin = math.cos(angle), math.sin(angle)
        out[i] = x[i] * cos - x[i + half] * sin
        out[i + half] = x[i + half] * cos + x[i] * sin
    return out


def read(q: Vector, keys: Matrix, values: Matrix, sees: Sequence[bool]) -> Vector:
    """One query of one head: the weighted mean of the values it sees, 0 where it sees none."""
    shown = [at for at, visible in enumerate(sees) if visible]
    shares = softmax([dot(q, keys[at]) / math.sqrt(len(q)) for at in shown])
    return [
        total([share * values[at][i] for share, at in zip(shares, shown, strict=True)])
        for i in range(len(q))
    ]


def self_attention(
    weights: Weights,
    x: Matrix,
    sees: Sequence[Sequence[bool]],
    sizes: tuple[int, int, int],
    positions: Sequence[int] | None = None,
) -> Matrix:
    """Attention of a block; sizes: heads, key heads, head width; sees[q][k]."""
    heads, kv_heads, width = sizes
    projected = [linear(weights, "qkv", token) for token in x]
    out: Matrix = []
    for q_at, row in enumerate(projected):
        joined: Vector = []
        for head in range(heads):
            kv_head = head // (heads // kv_heads)
            first_key = (heads + kv_head) * width
            first_value = (heads + kv_heads + kv_head) * width
            q = row[head * width : (head + 1) * width]
            keys = [other[first_key : first_key + width] for other in projected]
            if positions is not None:
                q = turned(q, positions[q_at])
                keys = [turned(key, at) for key, at in zip(keys, positions, strict=True)]
            values = [other[first_value : first_value + width] for other in projected]
            joined += read(q, keys, values, sees[q_at])
        out.append(linear(weights, "output", joined))
    return out


def cross_attention(
    weights: Weights, x: Matrix, context: Matrix, sees: Sequence[Sequence[bool]], heads: int
) -> Matrix:
    """A(x, context) of a fusion: both normed inside; sees[q][k]."""
    width = len(x[0]) // heads
    queries = [linear(weights, "query", norm(weights, "norm_query", token, 1e-5)) for token in x]
    both = [
        linear(weights, "key_value", norm(weights, "norm_context", token, 1e-5))
        for token in context
    ]
    out: Matrix = []
    for row, sight in zip(queries, sees, strict=True):
        joined: Vector = []
        for head in range(heads):
            at = slice(head * width, (head + 1) * width)
            keys = [token[: len(x[0])][at] for token in both]
            values = [token[len(x[0]) :][at] for token in both]
            joined += read(row[at], keys, values, sight)
        out.append(linear(weights, "output", joined))
    return out


def mlp(weights: Weights, x: Vector, activation: str) -> Vector:
    """down(act(up x))."""
    return linear(weights, "down", [ACTIVATIONS[activation](v) for v in linear(weights, "up", x)])


def glu(weights: Weights, x: Vector, activation: str) -> Vector:
    """down(act(gate x) * up x)."""
    gates = [ACTIVATIONS[activation](value) for value in linear(weights, "gate", x)]
    hidden = [g * u for g, u in zip(gates, linear(weights, "up", x), strict=True)]
    return linear(weights, "down", hidden)


def chosen(probabilities: Sequence[Tensor], count: int) -> list[int]:
    """The most probable experts, those of lower number first among equals."""
    left = list(range(len(probabilities)))
    found: list[int] = []
    for _ in range(count):
        best = left[0]
        for expert in left:
            if probabilities[expert] > probabilities[best]:
                best = expert
        found.append(best)
        left.remove(best)
    return found


def experts(
    weights: Weights, x: Vector, count: int, activation: str, renormalise: bool
) -> tuple[Vector, Vector, list[int]]:
    """One token through its experts: the output, all probabilities and who was chosen."""
    probabilities = softmax(linear(weights, "router", x))
    picked = chosen(probabilities, count)
    share = total([probabilities[e] for e in picked]) if renormalise else zero() + 1
    out = [zero() for _ in x]
    for expert in picked:
        up, down = weights["up"][expert], weights["down"][expert]
        hidden = [ACTIVATIONS[activation](dot(x, list(column))) for column in up.T]
        values = [dot(hidden, list(column)) for column in down.T]
        scale = probabilities[expert] / share
        out = [y + scale * value for y, value in zip(out, values, strict=True)]
    return out, probabilities, picked


def mean(rows: Matrix, valid: Sequence[bool], width: int) -> Vector:
    """Mean of the valid rows, 0 where there is none."""
    kept = [row for row, real in zip(rows, valid, strict=True) if real]
    return [total([row[i] for row in kept]) / max(len(kept), 1) for i in range(width)]
