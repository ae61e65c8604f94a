"""The path of a spec, step by step: read, validate, lower, emit, write."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmspec.compiler import ir
from mmspec.schema.spec import Spec
from mmspec.text import Document

if TYPE_CHECKING:
    from mmspec.compiler.emit.package import Package

STEPS = ("read", "validate", "lower", "emit", "write")
"""Every step by name, in order; `run(path, stop_after=STEP)` returns what that step makes."""


BACKENDS = ("auto", "tiles", "sdpa")
"""Of attention: tiles where that pays, tiles wherever a mask hides anything, or all pairs."""


def _read(path: str | os.PathLike[str]) -> Document:
    from mmspec.text import read

    return read(path)


def _validate(document: Document) -> Spec:
    from mmspec.schema.validate import validate

    return validate(document)


def _lower(spec: Spec) -> ir.Plan:
    from mmspec.compiler.lower.lower import lower

    return lower(spec)


def _refuse(target: Path, force: bool) -> None:
    """Say that a folder cannot be written before there is anything to write."""
    from mmspec.compiler.emit import owned

    owned.refuse(target, force=force)


def run(
    path: str | os.PathLike[str],
    stop_after: str = "emit",
    directory: str | os.PathLike[str] | None = None,
    backend: str = "auto",
    force: bool = False,
) -> Any:
    """Take a spec through the steps up to `stop_after`; return what that step makes.

    read: Document, validate: Spec, lower: Plan, emit: Package, write: the package's folder
    (`directory`, by default the spec's name in the working folder).
    backend: of attention, one of BACKENDS. force: a package that was edited by hand is replaced.
    Raises MmspecError when the spec or the folder is at fault.
    """
    assert stop_after in STEPS, stop_after
    assert backend in BACKENDS, backend
    document = _read(path)
    spec = _validate(document) if stop_after != "read" else None
    if spec is None or stop_after == "validate":
        return spec or document
    if stop_after == "lower":
        return _lower(spec)
    target = Path(directory or spec.name)
    if stop_after == "write":
        _refuse(target, force)
    emitted = emit(spec, backend)
    if stop_after == "emit":
        return emitted
    from mmspec.compiler.emit import package

    return package.write(emitted, target, force)


def emit(spec: Spec, backend: str = "auto") -> Package:
    """The package of a spec that was read already."""
    from mmspec.compiler.emit import emit as emitter

    return emitter.emit(_lower(spec), spec, backend)


def show(intermediate: Any) -> str:
    """Any intermediate as stable text."""
    from mmspec.compiler.emit.package import Package
    from mmspec.compiler.printer import show as show_plan
    from mmspec.schema.resolved import dump
    from mmspec.text import dump as dump_data

    writers: dict[type, Callable[[Any], str]] = {
        Document: lambda document: dump_data(document.data),
        Spec: dump,
        ir.Plan: show_plan,
        Package: _files,
    }
    writer = writers.get(type(intermediate), str)
    return writer(intermediate)


def _files(package: Any) -> str:
    return "\n".join(f"# {name}\n{text}" for name, text in package.files.items())
