"""Checkpoints: written whole or not at all, and everything a run needs to go on bit for bit."""

from __future__ import annotations

import hashlib
import io
import os
import random
from pathlib import Path
from typing import Any, BinaryIO, Final

import safetensors.torch
import torch
from torch import nn

from mmspec.diagnostics import MmspecError
from mmspec.schema.spec import Spec
from mmspec.train import folder
from mmspec.weights import files, stamp

NAME: Final = "checkpoint.pt"
_SEAL: Final = b"mmspec checkpoint sha256 "
"""Behind the state, in front of its digest: `torch.load` reads the file all the same."""
_BLOCK: Final = 1 << 20
WEIGHTS: Final = files.NAME


def save(directory: Path, state: dict[str, Any]) -> None:
    """Write a run's state (tensors and plain data only), with the digest of all of it behind."""
    body = packed(state)
    folder.write(directory / NAME, body + _SEAL + hashlib.sha256(body).digest())


def packed(state: dict[str, Any]) -> bytes:
    """Tensors and plain data as `torch.save` writes them."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def load(directory: Path) -> dict[str, Any] | None:
    """The state last saved; None where there is none.

    Raises MmspecError MM613 before anything is loaded where the file is not what was written.
    """
    path = directory / NAME
    if not os.path.lexists(path):
        return None
    with folder.opened(path) as file:
        try:
            if not _is_whole(file):
                raise folder.damaged(path, "is damaged: it is not what was written there")
            file.seek(0)
            state: Any = torch.load(file, map_location="cpu", weights_only=True)
        except MmspecError:
            raise
        except Exception as error:  # noqa: BLE001 - torch raises a dozen kinds on what it cannot read
            raise folder.damaged(path, f"cannot be read: {type(error).__name__}") from None
    if not isinstance(state, dict):
        raise folder.damaged(path, "holds no state of a run")
    return state


def _is_whole(file: BinaryIO) -> bool:
    """Whether a file ends with the seal and the digest of what stands before them."""
    rest = file.seek(0, os.SEEK_END) - len(_SEAL) - hashlib.sha256().digest_size
    if rest < 0:
        return False
    file.seek(0)
    digest = hashlib.sha256()
    while rest:
        block = file.read(min(rest, _BLOCK))
        if not block:
            return False
        digest.update(block)
        rest -= len(block)
    return file.read() == _SEAL + digest.digest()


def random_states() -> dict[str, Any]:
    """The states of the generators that a training step may draw from."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    version, words, gauss = random.getstate()
    return {"torch": torch.get_rng_state(), "cuda": cuda, "python": [version, list(words), gauss]}


def restore_random(states: dict[str, Any]) -> None:
    """Set the generators as they were; those of other GPUs than there are stay as they are."""
    torch.set_rng_state(states["torch"])
    if len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))


def save_weights(model: nn.Module, spec: Spec, directory: Path) -> Path:
    """Write the weights alone, as safetensors that say which spec they are of."""
    path = directory / WEIGHTS
    folder.write(path, stamp.packed(model.state_dict(), spec))
    return path


def weights(directory: Path) -> dict[str, Any]:
    """A run's weights of last: of its checkpoint, else those written at its end.

    Raises MmspecError MM613 where there are none, or they are not what was written.
    """
    state = load(directory)
    if state is not None:
        found: dict[str, Any] = state.get("model", {})
        return found
    path = directory / WEIGHTS
    if not os.path.lexists(path):
        advice = f"`mmspec train --resume {directory}` goes on to the first checkpoint"
        raise folder.damaged(directory, "has no weights yet", advice)
    try:
        return safetensors.torch.load(folder.content(path))
    except (safetensors.SafetensorError, ValueError) as error:
        raise folder.damaged(path, f"cannot be read: {type(error).__name__}") from None
