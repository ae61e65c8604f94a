"""Matrix products of rows grouped by expert, as operators that torch.compile and export can see."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mmspec.compiler.parts.operators import operator


def _matmul(x_ri: Tensor, weight_eio: Tensor, rows_e: Tensor) -> Tensor:
    y_ro = x_ri.new_empty(x_ri.shape[0], weight_eio.shape[2])
    sizes = rows_e.tolist()
    for x, weight, y in zip(
        torch.split(x_ri, sizes), weight_eio, torch.split(y_ro, sizes), strict=True
    ):
        torch.mm(x, weight, out=y)
    return y_ro


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _matmul_backward(ctx: Any, grad_ro: Tensor) -> tuple[Tensor, Tensor, None]:
    x_ri, weight_eio, rows_e = ctx.saved_tensors
    grad_ro = grad_ro.contiguous()
    grad_x = grouped_matmul(grad_ro, weight_eio.transpose(1, 2).contiguous(), rows_e)
    return grad_x, grouped_outer(x_ri, grad_ro, rows_e), None


grouped_matmul = operator(
    "mmspec::grouped_matmul",
    {"default": _matmul},
    lambda x_ri, weight_eio, _: x_ri.new_empty(x_ri.shape[0], weight_eio.shape[2]),
    autograd=(_keep, _matmul_backward),
)
"""Rows sorted by expert, `rows_e` of them for each: row r times the matrix of its expert."""


def _outer(x_ri: Tensor, y_ro: Tensor, rows_e: Tensor) -> Tensor:
    weight_eio = x_ri.new_empty(rows_e.shape[0], x_ri.shape[1], y_ro.shape[1])
    sizes = rows_e.tolist()
    for x, y, weight in zip(
        torch.split(x_ri, sizes), torch.split(y_ro, sizes), weight_eio, strict=True
    ):
        torch.mm(x.T, y, out=weight)
    return weight_eio


grouped_outer = operator(
    "mmspec::grouped_outer",
    {"default": _outer},
    lambda x_ri, y_ro, rows_e: x_ri.new_empty(rows_e.shape[0], x_ri.shape[1], y_ro.shape[1]),
)
"""For each expert the sum over its rows of x_r outer y_r: [E, I, O]."""
