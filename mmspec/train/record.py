"""A run's folder: begun once, resumed only as it was begun, used by one process at a time."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from mmspec.diagnostics import Diagnostic, MmspecError
from mmspec.train import checkpoint
from mmspec.train.settings import Settings

NAME: Final = "run.json"
SPEC: Final = "spec.yaml"
_LOCK: Final = ".lock"


def identity(settings: Settings, spec_digest: str, data_fingerprint: str) -> dict[str, Any]:
    """What makes a run this run, as plain data."""
    return {"settings": settings.as_dict(), "spec": spec_digest, "data": data_fingerprint}


@contextmanager
def locked(directory: Path) -> Generator[None]:
    """Hold the folder for this process; raises MM615 when another holds it, MM603 when unable."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        message = f"cannot use {directory}: {error.strerror or error}"
        raise MmspecError(Diagnostic("MM603", message, help="choose another --out")) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        message = f"another process trains in {directory}"
        raise MmspecError(Diagnostic("MM615", message, help="choose another --out")) from None
    try:
        yield
    finally:
        os.close(handle)


def begin(directory: Path, mine: dict[str, Any], spec_text: str) -> None:
    """Write what the run is; raises MM611 where the folder holds anything already."""
    checkpoint.sweep(directory)
    if any(entry.name != _LOCK for entry in directory.iterdir()):
        is_run = (directory / NAME).exists()
        what = "holds a run already" if is_run else "is not empty"
        advice = "--resume continues it; " if is_run else ""
        help_text = f"{advice}--out names another folder"
        raise MmspecError(Diagnostic("MM611", f"{directory} {what}", help=help_text))
    checkpoint.write(directory / NAME, (json.dumps(mine, indent=2) + "\n").encode())
    checkpoint.write(directory / SPEC, spec_text.encode())


def resume(directory: Path, mine: dict[str, Any], settings: Settings, spec_text: str) -> None:
    """Check that the folder holds this very run; raises MM612 or MM613."""
    checkpoint.sweep(directory)
    try:
        stored = json.loads((directory / NAME).read_text(encoding="utf-8"))
        differences = settings.differences(stored["settings"])
        other = [key for key in ("spec", "data") if stored[key] != mine[key]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        message = f"{directory} holds no run that can be resumed"
        advice = "leave --resume out to begin one"
        raise MmspecError(Diagnostic("MM613", message, help=advice)) from None
    differences += [f"the {key} is not the one the run was begun with" for key in other]
    if differences:
        raise MmspecError([Diagnostic("MM612", f"{directory}: {text}") for text in differences])
    if not (directory / SPEC).exists():
        checkpoint.write(directory / SPEC, spec_text.encode())
