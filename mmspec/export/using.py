"""What is said of what was written: what it takes, and what opens it."""

from __future__ import annotations

from pathlib import Path

from mmspec.compiler import ir
from mmspec.export import naming
from mmspec.export.program import has_length
from mmspec.export.source import Source


def pt2(source: Source, name: str) -> list[str]:
    """Of a program."""
    return [
        _takes(source.plan, "lengths={{{}}}"),
        f'opened by: torch.export.load("{name}").module(), where torch is',
    ]


def onnx(source: Source, name: str) -> list[str]:
    """Of an ONNX file."""
    return [
        _takes(source.plan, "{}"),
        f'opened by: onnxruntime.InferenceSession("{name}")',
    ]


def package(source: Source, out: Path) -> list[str]:
    """Of a package and its weights."""
    name = source.plan.class_name
    return [
        f"opened by: from {source.spec.name} import {name}, with {out} on the path, where torch is",
        f"weights: {out}/model.safetensors",
    ]


def transformers(source: Source, out: Path) -> list[str]:
    """Of a folder for transformers."""
    given = naming.given(source.plan)
    names = [name for each in given for name in (each.parameter, each.length) if name]
    return [
        f"takes: {', '.join((*names, *naming.labels(source.plan).values()))}",
        f'opened by: AutoModel.from_pretrained("{out}", trust_remote_code=True)',
    ]


def _takes(plan: ir.Plan, form: str) -> str:
    """The inputs of a program, those of lengths in a form."""
    told = [f"{item.name} {item.dtype} [{', '.join(map(str, item.shape))}]" for item in plan.inputs]
    named = [item.name for item in plan.inputs if has_length(item)]
    if named and form != "{}":
        told.append(f"{form.format(', '.join(named))} int64 [B]")
    told += [f"lengths.{name} int64 [B]" for name in named if form == "{}"]
    return f"takes: {', '.join(told)}"
