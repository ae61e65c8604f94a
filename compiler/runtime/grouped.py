"""Matrix products of rows grouped by expert, as operators that torch.compile and export can see."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mmspec.compiler.runtime.operators import operator, transformed


def _matmul(x_ri: Tensor, weight_eio: Tensor, rows_e: Tensor) -> Tensor:
    y_ro = x_ri.new_empty(x_ri.shape[0], weight_eio.shape[2])
    sizes = rows_e.tolist()
    for x, weight, y in zip(
        torch.split(x_ri, sizes), weight_eio, torch.split(y_ro, sizes), strict=True
    ):
        if len(x):
            torch.mm(x, weight, out=y)
    return y_ro


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _matmul_backward(ctx: Any, grad_ro: Tensor) -> tuple[Tensor, Tensor, None]:
    x_ri, weight_eio, rows_e = ctx.saved_tensors
    grad_ro = grad_ro.contiguous()
    grad_x = grouped_matmul(grad_ro, weight_eio.transpose(1, 2), rows_e)
    return grad_x, grouped_outer(x_ri, grad_ro, rows_e), None


def grouped_matmul(x_ri: Tensor, weight_eio: Tensor, rows_e: Tensor) -> Tensor:
    """Rows sorted by expert, `rows_e` of them for each: row r times the matrix of its expert."""
    if transformed(x_ri, weight_eio, rows_e):
        return _every_expert(x_ri, weight_eio, rows_e)
    y_ro: Tensor = _grouped_matmul(x_ri, weight_eio, rows_e)
    return y_ro


def _every_expert(x_ri: Tensor, weight_eio: Tensor, rows_e: Tensor) -> Tensor:
    """The same in plain operations: each expert on all rows, of which its own are kept."""
    place_r = torch.arange(x_ri.shape[0], device=x_ri.device)
    expert_r = (place_r[:, None] >= rows_e.cumsum(0)).sum(dim=1)
    y_ro = x_ri.new_zeros(x_ri.shape[0], weight_eio.shape[2])
    for expert in range(weight_eio.shape[0]):
        own_r1 = (expert_r == expert)[:, None]
        y_ro = torch.where(own_r1, x_ri @ weight_eio[expert], y_ro)
    return y_ro


_grouped_matmul = operator(
    "mmspec::grouped_matmul",
    {"default": _matmul},
    lambda x_ri, weight_eio, _: x_ri.new_empty(x_ri.shape[0], weight_eio.shape[2]),
    autograd=(_keep, _matmul_backward),
)


def _outer(x_ri: Tensor, y_ro: Tensor, rows_e: Tensor) -> Tensor:
    weight_eio = x_ri.new_empty(rows_e.shape[0], x_ri.shape[1], y_ro.shape[1])
    sizes = rows_e.tolist()
    for x, y, weight in zip(
        torch.split(x_ri, sizes), torch.split(y_ro, sizes), weight_eio, strict=True
    ):
        if len(x):
            torch.mm(x.T, y, out=weight)
        else:
            weight.zero_()
    return weight_eio


grouped_outer = operator(
    "mmspec::grouped_outer",
    {"default": _outer},
    lambda x_ri, y_ro, rows_e: x_ri.new_empty(rows_e.shape[0], x_ri.shape[1], y_ro.shape[1]),
)
"""For each expert the sum over its rows of x_r outer y_r: [E, I, O]."""
