"""Operators of packages: cheap to begin with, whole for torch.compile, each copy its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mmspec.compiler.runtime.grouped import grouped_matmul
from mmspec.compiler.runtime.operators import operator
from mmspec.compiler.runtime.sparse import attend
from mmspec.compiler.runtime.sparse_pattern import Pattern, register, tiled

FIRST = """
import sys
import torch
from mmspec.compiler.runtime.grouped import grouped_matmul
from mmspec.compiler.runtime.sparse import sparse_attention
from mmspec.compiler.runtime.sparse_pattern import Pattern, register, tiled

def blocks(length):
    return tiled(lambda i, _: [(i, i + 1, True)], 64, range(length), range(length), length)

register("blocks", Pattern(blocks, lambda q, k, _: q // 64 == k // 64))
x = torch.randn(1, 2, 1024, 16, requires_grad=True)
sparse_attention(x, x, x, ("blocks", (1024,))).sum().backward()
weights = torch.randn(2, 16, 8, requires_grad=True)
grouped_matmul(x[0, 0, :9], weights, torch.tensor([4, 5])).sum().backward()
print(x.grad.any().item(), weights.grad.any().item(), "torch._dynamo" in sys.modules)
"""


def test_the_first_call_and_gradient_do_not_load_the_compiler() -> None:
    """It would take as long as importing torch: a process of its own looks, for three seconds."""
    given = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "MMSPEC_NATIVE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", FIRST], env=given, capture_output=True, text=True, check=True
    )
    assert done.stdout == "True True False\n"


def doubled(x: Tensor) -> Tensor:
    """The kernel of a test, whose product a tracer would see."""
    return x * 2


def gradient(_: Any, grad: Tensor) -> Tensor:
    """Of `doubled`."""
    return grad * 2


def made(name: str = "mmspec_test::doubled") -> Any:
    """An operator."""
    keep = lambda ctx, inputs, output: None  # noqa: E731
    return operator(name, {"default": doubled}, torch.empty_like, (keep, gradient))


def test_copies_have_operators_of_their_own() -> None:
    first, second = made(), made()
    assert first.name() != second.name()
    for each in (first, second):
        torch.library.opcheck(each, (torch.randn(3, requires_grad=True),))


def test_kernels_are_not_traced_where_they_run_between_graphs() -> None:
    each = made()

    disable: Any = torch.compiler.disable
    between = disable(lambda x: each(x), recursive=False)

    def whole(x: Tensor) -> Any:
        return between(x + 1) - 1

    graphs: list[list[str]] = []

    def noted(graph: torch.fx.GraphModule, _: object) -> Any:
        graphs.append([node.name for node in graph.graph.nodes if node.op == "call_function"])
        return graph.forward

    torch.compiler.reset()
    compiled: Any = torch.compile(whole, backend=noted)
    assert compiled(torch.ones(3)).tolist() == [3, 3, 3]
    assert graphs == [["add"], ["sub"]]


def test_gradients_of_gradients_are_refused_in_words() -> None:
    name = "blocks of operators"
    register(
        name,
        Pattern(
            lambda n: tiled(lambda i, _: [(i, i + 1, True)], 8, range(n), range(n), n),
            lambda q, k, _: q // 8 == k // 8,
        ),
    )
    x = torch.randn(1, 1, 24, 4, requires_grad=True)
    weights = torch.randn(2, 4, 3, requires_grad=True)
    rest = None, None, None, name, [24], 0.5
    attended, _ = attend(x, x, x, *rest)
    grouped = grouped_matmul(x[0, 0, :5], weights, torch.tensor([2, 3]))
    for y, leaf, instead in (
        (attended, x, r"attention are not known: compile the model with --backend sdpa.*MATH"),
        (grouped, weights, r"experts are not known: take both by torch.func.*MATH"),
    ):
        (grad,) = torch.autograd.grad(y.square().sum(), leaf, create_graph=True)
        with pytest.raises(
            RuntimeError, match=rf"gradients of the gradients of (this|these) {instead}"
        ):
            grad.sum().backward()
