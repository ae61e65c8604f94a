"""FLOPs of matrix products, counted from the operators that torch runs, knowing no spec."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from torch import Tensor

from mmspec.verify.lab.operators import Operators


def _product(left: Tensor, right: Tensor, *_: Any) -> int:
    """[..., n, i] x [..., i, o]."""
    return 2 * prod(left.shape) * right.shape[-1]


def _attention(query: Tensor, key: Tensor, value: Tensor, *_: Any) -> int:
    """Scores and their product with the values, of all pairs."""
    pairs = prod(query.shape[:-1]) * key.shape[-2]
    return 2 * pairs * (query.shape[-1] + value.shape[-1])


_COUNTS: dict[str, Callable[..., int]] = {
    "mm": _product,
    "bmm": _product,
    "matmul": _product,
    "addmm": lambda _, left, right, *__: _product(left, right),
    "baddbmm": lambda _, left, right, *__: _product(left, right),
    "mv": lambda matrix, *_: 2 * prod(matrix.shape),
    "addmv": lambda _, matrix, *__: 2 * prod(matrix.shape),
    "dot": lambda left, *_: 2 * prod(left.shape),
    "linear": lambda rows, weight, *_: 2 * prod(rows.shape) * weight.shape[0],
    "_grouped_mm": _product,
    "grouped_matmul": _product,
}


class FlopCounter(Operators):
    """Counts, while it is entered, the FLOPs of matrix products: a multiply-add is 2."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def ran(self, name: str, given: tuple[Any, ...], out: Any) -> None:
        """Count one operator."""
        if "scaled_dot_product" in name or name == "attend":
            self.total += _attention(*given[:3])
        elif name.endswith(("convolution", "conv2d")):
            self.total += 2 * out.numel() * prod(given[1].shape[1:])
        elif name in _COUNTS:
            self.total += _COUNTS[name](*given)
