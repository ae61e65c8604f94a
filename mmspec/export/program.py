"""A model as a program of torch.export, for any number of samples and any length, of torch alone.

Its inputs are the modalities by name and `lengths`, a dict: of a modality whose samples differ in
length, or may be absent (0). It gives a dict of what the heads say. Samples that would stop early
(`ponder`, `exit`) go through all layers, and heads say of them what they say without: the depth of
a program is fixed.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from typing import Any, Final

import torch
from torch import Tensor, nn

from mmspec.compiler import ir
from mmspec.diagnostics import Diagnostic, MmspecError
from mmspec.export.source import Source
from mmspec.weights import stamp

_BATCH: Final = 3
_LONG: Final = 7
"""Sizes that a program is made with: none that torch would take for a constant."""


def served(model: nn.Module) -> nn.Module:
    """A model that gives a dict of what its heads say, and takes what it took."""

    @wraps(type(model).forward)
    def forward(self: Any, **given: Any) -> dict[str, Tensor]:
        heads: dict[str, Tensor] = self.model(**given).heads._asdict()
        return heads

    made: nn.Module = type(type(model).__name__, (nn.Module,), {"forward": forward})()
    made.model = model
    return made.eval()


def samples(plan: ir.Plan, batch: int = _BATCH, longest: int = _LONG) -> dict[str, Any]:
    """Inputs of a program, all zeros, every modality present.

    batch: samples. longest: tokens or frames of each, as far as its modality has so many.
    """
    given: dict[str, Any] = {}
    for item in plan.inputs:
        sizes = {"B": batch, "T": _most(item, longest), "F": _most(item, longest)}
        shape = [sizes[size] if isinstance(size, str) else size for size in item.shape]
        given[item.name] = torch.zeros(shape, dtype=getattr(torch, item.dtype))
    lengths = {
        item.name: torch.full((batch,), _most(item, longest) if item.longest else 1)
        for item in plan.inputs
        if has_length(item)
    }
    return {**given, "lengths": lengths} if lengths else given


def has_length(item: ir.Input) -> bool:
    """Whether samples differ in how much of an input is there."""
    return item.longest is not None or item.optional


def _most(item: ir.Input, longest: int) -> int:
    return min(item.longest or longest, longest)


def _shapes(plan: ir.Plan) -> dict[str, Any]:
    """Which sizes of the inputs may be any."""
    batch = torch.export.Dim("batch")
    shapes: dict[str, Any] = {}
    for item in plan.inputs:
        shapes[item.name] = {0: batch}
        if item.longest is not None and item.longest > 1:
            shapes[item.name][1] = torch.export.Dim(f"{item.name}_size", max=item.longest)
    lengths = {item.name: {0: batch} for item in plan.inputs if has_length(item)}
    return {**shapes, "lengths": lengths} if lengths else shapes


def program(source: Source) -> torch.export.ExportedProgram:
    """The program of a model, in operators that torch has.

    Raises MmspecError MM627 where torch.export cannot follow the model.
    """
    plan, model = source.plan, source.model
    with quietly():
        try:
            made = torch.export.export(
                served(model), (), samples(plan), dynamic_shapes=_shapes(plan), strict=False
            )
        except Exception as error:  # noqa: BLE001 - torch raises dozens of kinds
            raise refused(source, "torch.export", error) from None
        plain: torch.export.ExportedProgram = made.run_decompositions(_plain(model, made))
        return plain


def _plain(model: nn.Module, made: torch.export.ExportedProgram) -> dict[Any, Any]:
    """What stands for the package's own operators, in those of torch."""
    space = type(model).__module__.rpartition(".")[0]
    own = {node.target for node in made.graph.nodes if str(node.target).startswith("mmspec")}
    if not own:
        return {}
    grouped = import_module(f"{space}.runtime.grouped")
    return {grouped._grouped_matmul: grouped._every_expert}


@contextmanager
def quietly() -> Generator[None]:
    """Without what torch tells its developers."""
    import logging

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def refused(source: Source, by: str, error: Exception) -> MmspecError:
    """MM627, with the reason that torch gives."""
    text = next((line for line in str(error).splitlines() if line.strip()), "")
    what = f"{by} cannot follow `{source.spec.name}`: {type(error).__name__}: {text[:200]}"
    advice = "`--to package` gives it away as it is"
    return MmspecError(Diagnostic("MM627", what, help=advice))


def metadata(source: Source) -> dict[str, str]:
    """What a file says of itself: its spec, and of a run what its values and classes mean."""
    told = {key: json.dumps(value) for key, value in source.described.items()}
    return {**stamp.metadata(source.spec), **told}


def saved(source: Source) -> bytes:
    """The program as a .pt2 file; `mmspec.json` in it holds its metadata."""
    buffer = io.BytesIO()
    extra = {"mmspec.json": json.dumps(metadata(source), ensure_ascii=False)}
    with quietly():
        torch.export.save(program(source), buffer, extra_files=extra)
    return buffer.getvalue()
