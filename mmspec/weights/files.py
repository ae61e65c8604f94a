"""What a checkpoint holds: safetensors, in one file or several under an index; never a pickle."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import safetensors
from torch import Tensor

from mmspec.diagnostics import MmspecError
from mmspec.families.importing import SETTINGS, read, read_json, unusable

NAME: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
_PICKLES: Final = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


@dataclass(frozen=True, slots=True)
class Held:
    """A tensor in a file."""

    file: Path
    shape: tuple[int, ...]
    dtype: str
    """As the file says it: `F32`, `BF16`."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tensors of a checkpoint by name, none read yet."""

    path: Path
    held: Mapping[str, Held]
    metadata: Mapping[str, str]
    settings: Mapping[str, Any]
    """What `config.json` beside it says; empty where there is none."""

    def read(self, names: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Some tensors, or all. Raises MmspecError MM622 where a file has changed meanwhile."""
        found: dict[str, Tensor] = {}
        wanted = [*(self.held if names is None else names)]
        for file in dict.fromkeys(self.held[name].file for name in wanted):
            inside = [name for name in wanted if self.held[name].file == file]
            try:
                with safetensors.safe_open(file, "pt") as tensors:
                    found |= {name: tensors.get_tensor(name) for name in inside}
            except (OSError, safetensors.SafetensorError, ValueError) as error:
                raise _unread(file, error) from None
        return found

    @property
    def files(self) -> int:
        """How many hold tensors."""
        return len({each.file for each in self.held.values()})


def opened(path: str | os.PathLike[str]) -> Checkpoint:
    """A checkpoint: a folder, a file of it, or its index.

    Raises MmspecError MM622 where there is none, or a file is missing, damaged or another format.
    """
    given = Path(path)
    file = _found(given) if given.is_dir() else given
    metadata: dict[str, str] = {}
    if file.name.endswith(".json"):
        places = _index(file)
    else:
        entries, metadata = _header(file)
        places = {name: (file, entry) for name, entry in entries.items()}
    held = {
        name: Held(where, tuple(entry["shape"]), entry["dtype"])
        for name, (where, entry) in places.items()
    }
    beside = read(path) if (path := file.with_name(SETTINGS)).is_file() else {}
    return Checkpoint(given, held, metadata, beside)


def _found(folder: Path) -> Path:
    """The file of a folder that says where the tensors are."""
    for name in (INDEX, NAME):
        if (folder / name).is_file():
            return folder / name
    there = sorted(folder.glob("*.safetensors"))
    if len(there) == 1:
        return there[0]
    if there:
        names = ", ".join(each.name for each in there[:4])
        raise unusable(folder, f"has no {INDEX}", f"name one of its files: {names}")
    pickles = [each for each in sorted(folder.iterdir()) if each.suffix in _PICKLES]
    if pickles:
        raise _pickled(pickles[0])
    raise unusable(folder, "holds no safetensors", f"there is no {NAME} and no {INDEX}")


def _index(path: Path) -> dict[str, tuple[Path, Mapping[str, Any]]]:
    """Where each tensor of an index is, and what the header of that file says."""
    content = read_json(path)
    places = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(places, dict) or not places:
        raise unusable(path, "says where no tensor is", "an index has a `weight_map`")
    headers = {}
    for file in dict.fromkeys(map(str, places.values())):
        if Path(file).name != file:
            raise unusable(path, f"names a file elsewhere: {file}", "all lie beside the index")
        headers[file] = _header(path.with_name(file))[0]
    lost = [name for name, file in places.items() if name not in headers[str(file)]]
    if lost:
        what = f"says that {places[lost[0]]} holds `{lost[0]}`"
        raise unusable(path, what, "it does not: the files are of several checkpoints")
    return {
        name: (path.with_name(str(file)), headers[str(file)][name]) for name, file in places.items()
    }


def _header(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """What a file says of its tensors and of itself, whole files only."""
    if path.suffix in _PICKLES:
        raise _pickled(path)
    try:
        with safetensors.safe_open(path, "pt") as tensors:
            slices = {name: tensors.get_slice(name) for name in tensors.keys()}
            entries = {
                name: {"shape": each.get_shape(), "dtype": each.get_dtype()}
                for name, each in slices.items()
            }
            return entries, dict(tensors.metadata() or {})
    except (OSError, safetensors.SafetensorError, ValueError) as error:
        raise _unread(path, error) from None


def _unread(path: Path, error: Exception) -> MmspecError:
    if isinstance(error, FileNotFoundError) or not path.exists():
        return unusable(path, "is not there", "")
    if isinstance(error, OSError) and error.strerror:
        return unusable(path, f"cannot be read: {error.strerror.lower()}", "")
    kind = "JSON" if path.suffix == ".json" else "safetensors"
    return unusable(path, f"is no {kind}, or damaged", "fetch or write it again")


def _pickled(path: Path) -> MmspecError:
    advice = "write it as safetensors where you trust it: `model.save_pretrained(folder)`"
    return unusable(path, "is a pickle, which runs what it holds when it is read", advice)
