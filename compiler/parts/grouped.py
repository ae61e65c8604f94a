"""Matrix products of rows grouped by expert, as operators that torch.compile and export can see."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


@torch.library.custom_op("mmspec::grouped_matmul", mutates_args=())
def grouped_matmul(x_ri: Tensor, weight_eio: Tensor, rows_e: Tensor) -> Tensor:
    """Rows sorted by expert, `rows_e` of them for each: row r times the matrix of its expert."""
    y_ro = x_ri.new_empty(x_ri.shape[0], weight_eio.shape[2])
    sizes = rows_e.tolist()
    for x, weight, y in zip(
        torch.split(x_ri, sizes), weight_eio, torch.split(y_ro, sizes), strict=True
    ):
        torch.mm(x, weight, out=y)
    return y_ro


@grouped_matmul.register_fake
def _(x_ri: Tensor, weight_eio: Tensor, rows_e: Tensor) -> Tensor:
    return x_ri.new_empty(x_ri.shape[0], weight_eio.shape[2])


@torch.library.custom_op("mmspec::grouped_outer", mutates_args=())
def grouped_outer(x_ri: Tensor, y_ro: Tensor, rows_e: Tensor) -> Tensor:
    """For each expert the sum over its rows of x_r outer y_r: [E, I, O]."""
    weight_eio = x_ri.new_empty(rows_e.shape[0], x_ri.shape[1], y_ro.shape[1])
    sizes = rows_e.tolist()
    for x, y, weight in zip(
        torch.split(x_ri, sizes), torch.split(y_ro, sizes), weight_eio, strict=True
    ):
        torch.mm(x.T, y, out=weight)
    return weight_eio


@grouped_outer.register_fake
def _(x_ri: Tensor, y_ro: Tensor, rows_e: Tensor) -> Tensor:
    return x_ri.new_empty(rows_e.shape[0], x_ri.shape[1], y_ro.shape[1])


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _grouped_matmul_backward(ctx: Any, grad_ro: Tensor) -> tuple[Tensor, Tensor, None]:
    x_ri, weight_eio, rows_e = ctx.saved_tensors
    grad_ro = grad_ro.contiguous()
    grad_x = grouped_matmul(grad_ro, weight_eio.transpose(1, 2).contiguous(), rows_e)
    return grad_x, grouped_outer(x_ri, grad_ro, rows_e), None


grouped_matmul.register_autograd(_grouped_matmul_backward, setup_context=_keep)
