"""Operators that autograd, torch.compile and torch.export see, without loading what those need.

`torch.library.custom_op` does the same, but its first call imports torch._dynamo: that takes as
long as importing torch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.autograd import forward_ad

Kernel = Callable[..., Any]

_MATH = "`with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):`"


def transformed(*tensors: Tensor) -> bool:
    """Whether torch.func, or gradients forward, follow what is computed of some tensors.

    They do not follow operators: forward gradients would be 0 without a word.
    """
    if torch.compiler.is_compiling():
        return False
    if forward_ad._current_level >= 0:
        return True
    return any(is_functorch_wrapped_tensor(x) for x in tensors)


def operator(
    name: str,
    kernels: Mapping[str, Kernel],
    fake: Kernel,
    autograd: tuple[Kernel, Kernel] | None = None,
) -> Any:
    """A new operator of kernels by device, `default` for all; its schema is that of the first.

    fake: what gives results of the right shapes. autograd: what keeps for the gradient, and what
    gives it; None: this is a gradient itself, and has none. A second copy of this package in a
    process gets operators of its own: there the name has more underlines.
    """
    space, own = name.split("::")
    while hasattr(getattr(torch.ops, space), own):
        space += "_"
    schema = torch.library.infer_schema(next(iter(kernels.values())), mutates_args=())
    torch.library.define(f"{space}::{own}", schema, tags=torch.Tag.pt2_compliant_tag)
    for device, kernel in kernels.items():
        torch.library.impl(f"{space}::{own}", device, _untraced(kernel))
    torch.library.register_fake(f"{space}::{own}", _backward_only(own, fake))
    keep, backward = autograd or (None, _refused(own))
    torch.library.register_autograd(f"{space}::{own}", backward, setup_context=keep)
    return getattr(getattr(torch.ops, space), own).default


def _told(own: str) -> tuple[str, str]:
    """What an operator computes, and how else gradients of gradients of it can be had."""
    if own.startswith("attend"):
        return "this attention", "compile the model with --backend sdpa"
    return "these experts", "take both by torch.func"


def _refused(own: str) -> Kernel:
    of, instead = _told(own)

    def refuse(*_: Any) -> Any:
        raise RuntimeError(
            f"gradients of the gradients of {of} are not known: {instead}, and compute inside"
            f" {_MATH}"
        )

    return refuse


def _backward_only(own: str, fake: Kernel) -> Kernel:
    """The same, but an error where a graph with forward gradients is made: they would be 0."""

    @wraps(fake)
    def shaped(*arguments: Any) -> Any:
        if forward_ad._current_level >= 0:
            raise RuntimeError(  # torch breaks the graph there at any other, and goes on
                f"forward gradients of {_told(own)[0]} are not known to torch.compile: compute them"
                f" without it, or compile the model with --backend sdpa, inside {_MATH}"
            )
        return fake(*arguments)

    return shaped


def _untraced(kernel: Kernel) -> Kernel:
    """The same, but nothing that torch.compile looks into where it runs between its graphs."""
    hidden: list[Kernel] = []
    disable: Any = torch.compiler.disable

    @wraps(kernel)
    def call(*arguments: Any) -> Any:
        if "torch._dynamo" not in sys.modules:
            return kernel(*arguments)
        if not hidden:
            hidden.append(disable(kernel))
        return hidden[0](*arguments)

    return call
