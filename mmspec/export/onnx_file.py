"""A model as an ONNX file, through its program."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

import torch
from torch import Tensor

from mmspec.diagnostics import Diagnostic, MmspecError
from mmspec.export import program
from mmspec.export.source import Source

NEEDS: Final = ("onnx", "onnxscript")


def flat(given: Mapping[str, Any]) -> dict[str, Tensor]:
    """Inputs as ONNX has them: `text`, `lengths.text`."""
    found: dict[str, Tensor] = {}
    for name, value in given.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{key}": each for key, each in value.items()}
        else:
            found[name] = value
    return found


def saved(source: Source) -> bytes:
    """The ONNX file, its metadata those of the program.

    Raises MmspecError MM512 where onnx and onnxscript are not installed, MM627 where a model has
    no form in ONNX.
    """
    check_installed()
    made, given = program.program(source), program.samples(source.plan)
    with program.quietly():
        try:
            translated: Any = torch.onnx.export(
                made,
                (),
                kwargs=given,
                dynamo=True,
                verbose=False,
                input_names=[*flat(given)],
                output_names=[head.name for head in source.plan.heads],
                custom_translation_table=_table(),
            )
            proto = translated.model_proto
        except Exception as error:  # noqa: BLE001 - as many kinds as there are packages
            raise program.refused(source, "torch.onnx", error) from None
    for key, value in program.metadata(source).items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value
    content: bytes = proto.SerializeToString()
    return content


def check_installed() -> None:
    """Raise MM512 where a package is missing."""
    for name in NEEDS:
        try:
            import_module(name)
        except ImportError:
            message = f"ONNX is written by {' and '.join(NEEDS)}, and {name} is not installed"
            advice = 'pip install "mmspec[onnx]"'
            raise MmspecError(Diagnostic("MM512", message, help=advice)) from None


def _table() -> dict[Any, Any]:
    """What torch has no translation for: of equal values TopK takes the first, as a stable sort."""
    opset: Any = import_module("onnxscript").opset18

    def stable(self: Any, stable: bool = True, dim: int = -1, descending: bool = False) -> Any:
        size = opset.Gather(opset.Shape(self), opset.Constant(value_ints=[dim]))
        return opset.TopK(self, size, axis=dim, largest=1 if descending else 0, sorted=1)

    return {torch.ops.aten.sort.stable: stable}
