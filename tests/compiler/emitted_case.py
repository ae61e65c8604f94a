"""What the tests of models that pass over tiles share: each against one that computes all pairs."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

import mmspec
from mmspec.compiler import driver

HALTING = {"ponder": "ponder, at_most: 3, prior: 0.4", "exit": "exit, head: label, threshold: 0.4"}
ONE = """
mmspec: 1
name: one
modalities: {{text: {{kind: tokens, vocab: 9, length: {{max: {tokens}}}}}}}
streams: {{text: {{from: text, depth: 1, width: 8, heads: 1, attention: "{mask}"}}}}
heads: {{label: {{from: text, kind: classifier, classes: 2}}}}
"""
"""One stream of one mask."""


def module(model: nn.Module, name: str) -> ModuleType:
    """A module of the package that a model is of."""
    return sys.modules[f"{type(model).__module__.rpartition('.')[0]}.{name}"]


def never_dense(model: nn.Module) -> None:
    """Make a model pass over tiles even where it would take all pairs for faster."""
    module(model, "runtime.sparse_plan")._MARGIN = 1e9  # type: ignore[attr-defined]


def twins(path: Path, spec: str, backend: str = "auto") -> tuple[Any, Any]:
    """A model that passes over tiles, and one that does not; their weights are equal."""
    path.write_text(spec)
    torch.manual_seed(0)
    special = mmspec.compile(path, backend)().double()
    plain = mmspec.compile(path, "sdpa")().double()
    plain.load_state_dict(special.state_dict())
    root = type(special).__module__.rpartition(".")[0]
    assert f"{root}.runtime.sparse" in sys.modules
    assert f"{type(plain).__module__.rpartition('.')[0]}.runtime.sparse" not in sys.modules
    return special, plain


def compare(models: tuple[Any, Any], given: dict[str, Any]) -> None:
    """Assert that two models say the same; in training, that their gradients are equal too."""
    outs = [one(**given) for one in models]
    for one, other in zip(*(out.heads for out in outs), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    if not models[0].training:
        return
    for model, out in zip(models, outs, strict=True):
        model.zero_grad()
        out.loss.backward()
    for name, value in models[0].named_parameters():
        other = models[1].get_parameter(name).grad
        if value.grad is None:
            assert other is None, name
        else:
            torch.testing.assert_close(value.grad, other, rtol=0, atol=1e-11, msg=name)


def emitted(path: Path, spec: str, backend: str = "auto") -> dict[str, str]:
    """The files of a spec's package."""
    path.write_text(spec)
    files: dict[str, str] = driver.run(path, "emit", backend=backend).files
    return files
