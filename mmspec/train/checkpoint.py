"""Checkpoints: written whole or not at all, and everything a run needs to go on bit for bit."""

from __future__ import annotations

import contextlib
import io
import os
import random
import tempfile
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from mmspec.diagnostics import Diagnostic, MmspecError

NAME: Final = "checkpoint.pt"
_UNFINISHED: Final = ".unfinished"


def write(path: Path, content: bytes) -> None:
    """Put `content` at `path` in one step: a reader sees the old bytes or the new ones.

    Raises MmspecError MM603 where the disk will not take them.
    """
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(_UNFINISHED, f".{path.name}.", path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        message = f"cannot write {path}: {error.strerror or error}"
        raise MmspecError(Diagnostic("MM603", message, help="free some space")) from None
    finally:
        with contextlib.suppress(OSError, TypeError):
            os.unlink(temporary)  # type: ignore[arg-type]


def sweep(folder: Path) -> None:
    """Delete what writers that were killed left half written; no other may write there now."""
    for path in folder.glob(f".*{_UNFINISHED}"):
        path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def save(directory: Path, state: dict[str, Any]) -> None:
    """Write a run's state (tensors and plain data only)."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write(directory / NAME, buffer.getvalue())


def load(directory: Path) -> dict[str, Any] | None:
    """The state last saved; None where there is none. Raises MmspecError MM613 on a bad file."""
    path = directory / NAME
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - torch raises a dozen kinds on a damaged file
        message = f"{path} is not a checkpoint that can be read: {type(error).__name__}"
        advice = "restore it from a copy, or start another run with --out"
        raise MmspecError(Diagnostic("MM613", message, help=advice)) from None
    return state


def random_states() -> dict[str, Any]:
    """The states of the generators that a training step may draw from."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    version, words, gauss = random.getstate()
    return {"torch": torch.get_rng_state(), "cuda": cuda, "python": [version, list(words), gauss]}


def restore_random(states: dict[str, Any]) -> None:
    """Set the generators as they were."""
    torch.set_rng_state(states["torch"])
    if states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))


def save_weights(model: nn.Module, directory: Path) -> Path:
    """Write the weights alone: safetensors where that is installed, else torch's own format."""
    tensors = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    try:
        import safetensors.torch
    except ImportError:
        buffer = io.BytesIO()
        torch.save(tensors, buffer)
        path, content = directory / "model.pt", buffer.getvalue()
    else:
        unshared = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
        path, content = directory / "model.safetensors", safetensors.torch.save(unshared)
    write(path, content)
    return path
