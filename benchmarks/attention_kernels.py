"""The kernels of a mask outside a spec: compiled from its relation, loaded, called as attention."""

from __future__ import annotations

import atexit
import importlib
import itertools
import shutil
import sys
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from attention_masks import Case
from attention_peers import Attend
from measure import ROOT
from torch import Tensor

from mmspec.compiler.kernels import kernel_file, kernel_mask
from mmspec.compiler.parts.attention import document_spans
from mmspec.compiler.relations.meaning.sequence import SequenceMask

_PARTS = "launch", "tuning", "tiles", "tables", "sparse_plan", "sparse_calls"
_NUMBERS = itertools.count()


@cache
def _folder() -> Path:
    """Where the packages are, until this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="attention_kernels_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    sys.path.insert(0, str(folder))
    return folder


def _known(case: Case) -> SequenceMask:
    """The mask with what kernels of tables are told: the most tokens, and who packs documents."""
    sides = [
        tuple(replace(side, most=case.lengths[str(side.count)]) for side in segments)
        for segments in (case.mask.queries, case.mask.keys)
    ]
    packed = frozenset(side.name for side in case.mask.sides if case.documents)
    return SequenceMask(sides[0], sides[1], case.mask.pairs, packed)


def spans(case: Case) -> tuple[Tensor | None, Tensor | None]:
    """Where documents begin and end among keys and among queries, if a mask asks for them."""
    if case.documents is None:
        return None, None
    ids = [(table[None],) for table in (case.tables[0], case.tables[-1])]
    return document_spans(*ids), document_spans(*ids[::-1])


def loaded(case: Case, heads: int, width: int) -> tuple[Any, Any]:
    """The kernels of a mask, as a package's table has them, and the module that launches them."""
    package = _folder() / f"kernels_{next(_NUMBERS)}"
    (package / "runtime").mkdir(parents=True)
    (package / "__init__.py").touch()
    for name in _PARTS:
        text = (ROOT / "compiler" / "runtime" / f"{name}.py").read_text()
        text = text.replace("from mmspec.compiler.runtime import", "from . import")
        text = text.replace("from mmspec.compiler.runtime.", "from .")
        (package / "runtime" / f"{name}.py").write_text(text)
    sequence, widths = _known(case), (width, width)
    tiles = kernel_mask.tiles_of(width, sequence)
    mask = kernel_mask.Mask("mask", sequence, max(case.tokens), *widths, heads, tiles)
    (package / "kernels.py").write_text(kernel_file.module('"""Kernels."""', [mask]))
    importlib.invalidate_caches()
    table = importlib.import_module(f"{package.name}.kernels").KERNELS
    return table["mask"], importlib.import_module(f"{package.name}.runtime.launch")


def kernel(case: Case, inputs: list[Tensor]) -> dict[str, Attend]:
    """The attention of a mask by its kernels, with gradients; and with its documents made anew."""
    _, heads, _, width = inputs[0].shape
    found, launch = loaded(case, heads, width)
    given = case.values, None, width**-0.5
    made = spans(case)

    class Attention(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *given_: Any) -> Tensor:
            *tensors, ctx.spans = given_
            results = launch.forward(found, tensors, *given, ctx.spans)
            ctx.save_for_backward(*tensors, *results)
            y: Tensor = results[0]
            return y

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> Any:
            tensors = (*grads, *ctx.saved_tensors)
            return *launch.backward(found, tensors, *given, ctx.spans), None

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        y: Tensor = Attention.apply(q, k, v, made)
        return y

    def anew(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        y: Tensor = Attention.apply(q, k, v, spans(case))
        return y

    return {"ours": attend} if case.documents is None else {"ours": attend, "anew": anew}
