"""The kernels of a mask outside a spec: compiled from its relation, loaded, called as attention."""

from __future__ import annotations

import atexit
import importlib
import itertools
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from attention_masks import Case
from attention_peers import Attend
from attention_schedule import is_formula
from measure import ROOT
from torch import Tensor

from mmspec.compiler.emit import kernel_mask, kernels

_PARTS = "launch", "tuning", "tiles"
_NUMBERS = itertools.count()


@cache
def _folder() -> Path:
    """Where the packages are, until this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="attention_kernels_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    sys.path.insert(0, str(folder))
    return folder


def has_kernels(case: Case) -> bool:
    """Whether kernels of a mask can be had: of formulas."""
    return is_formula(case)


def loaded(case: Case, heads: int, width: int) -> tuple[Any, Any]:
    """The kernels of a mask, as a package's table has them, and the module that launches them."""
    package = _folder() / f"kernels_{next(_NUMBERS)}"
    package.mkdir()
    (package / "__init__.py").touch()
    for name in _PARTS:
        text = (ROOT / "compiler" / "parts" / f"{name}.py").read_text()
        text = text.replace("from mmspec.compiler.parts import", "from . import")
        (package / f"{name}.py").write_text(text)
    tiles = kernel_mask.tiles_of(width, case.mask)
    widths = width, width
    mask = kernel_mask.Mask("mask", case.mask, max(case.tokens), *widths, heads, tiles)
    (package / "kernels.py").write_text(kernels.module('"""Kernels."""', [mask]))
    importlib.invalidate_caches()
    table = importlib.import_module(f"{package.name}.kernels").KERNELS
    return table["mask"], importlib.import_module(f"{package.name}.launch")


def kernel(case: Case, inputs: list[Tensor]) -> Attend:
    """The attention of a mask by its kernels, with gradients."""
    _, heads, _, width = inputs[0].shape
    found, launch = loaded(case, heads, width)
    given = case.values, None, width**-0.5

    class Attention(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *tensors: Tensor) -> Tensor:
            results = launch.forward(found, tensors, *given)
            ctx.save_for_backward(*tensors, *results)
            y: Tensor = results[0]
            return y

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> Any:
            return launch.backward(found, (*grads, *ctx.saved_tensors), *given)

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        y: Tensor = Attention.apply(q, k, v)  # type: ignore[no-untyped-call]
        return y

    return attend
