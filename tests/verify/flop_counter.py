"""An operator-level count of the FLOPs of matrix products, from the shapes torch dispatches.

The oracle of the cost formulas: it knows torch's operators and nothing of specs or plans. On the
meta device attention decomposes into its two batched products; fused kernels are counted too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


def _product(left: Tensor, right: Tensor) -> int:
    """[..., n, i] x [..., i, o]."""
    return 2 * prod(left.shape) * right.shape[-1]


def _matrix_vector(matrix: Tensor, _: Tensor) -> int:
    return 2 * prod(matrix.shape)


def _linear(rows: Tensor, weight: Tensor, *_: Any) -> int:
    return 2 * prod(rows.shape) * weight.shape[0]


def _convolution(image: Tensor, weight: Tensor, *rest: Any) -> int:
    out = torch.ops.aten.convolution.default(image, weight, *rest)
    shape: tuple[int, ...] = tuple(out.shape)
    return 2 * prod(shape) * prod(weight.shape[1:])


def _attention(query: Tensor, key: Tensor, value: Tensor, *_: Any) -> int:
    """Scores and their product with the values, of all pairs; query heads count."""
    pairs = prod(query.shape[:-1]) * key.shape[-2]
    return 2 * pairs * (query.shape[-1] + value.shape[-1])


_COUNTS: dict[str, Callable[..., int]] = {
    "mm": _product,
    "bmm": _product,
    "matmul": _product,
    "addmm": lambda _, left, right: _product(left, right),
    "baddbmm": lambda _, left, right: _product(left, right),
    "mv": _matrix_vector,
    "addmv": lambda _, matrix, vector: _matrix_vector(matrix, vector),
    "dot": lambda left, right: 2 * prod(left.shape),
    "linear": _linear,
    "convolution": _convolution,
    "_grouped_mm": lambda left, right, *_: 2 * prod(left.shape) * right.shape[-1],
    "grouped_matmul": lambda left, right, *_: 2 * prod(left.shape) * right.shape[-1],
}
_PRODUCTS = ("mm", "matmul", "linear", "convolution", "attention", "einsum", "mv", "addr", "outer")


class FlopCounter(TorchDispatchMode):
    """Counts, while it is entered, the FLOPs of every matrix product; `by` operator."""

    def __init__(self) -> None:
        super().__init__()
        self.by: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.by.values())

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Count one operator and run it; one that looks like a product must be known."""
        name = func._schema.name.split("::")[1]
        if "scaled_dot_product" in name or name == "attend":
            self.by[name] += _attention(*args[:3])
        elif name in _COUNTS:
            rest = {k: v for k, v in (kwargs or {}).items() if k not in ("beta", "alpha", "dtype")}
            self.by[name] += _COUNTS[name](*args, **rest)
        else:
            is_product = any(word in name for word in _PRODUCTS) and name != "cummax"
            assert not is_product, f"{name} is not counted"
        return func(*args, **(kwargs or {}))
