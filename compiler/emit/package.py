"""Files of a package, and writing them so that a killed run leaves the old one whole."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from mmspec.compiler.emit import owned
from mmspec.diagnostics import unwritable
from mmspec.version import __version__

BANNER = "Compiled by mmspec"
_ELSEWHERE = "choose another folder with -o"


@dataclass(frozen=True, slots=True)
class Package:
    """Files of an emitted package as text, by name; some in the folder `runtime/`."""

    name: str
    class_name: str
    files: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Hash of every file's name and content."""
        text = "".join(f"{name}\0{self.files[name]}\0" for name in sorted(self.files))
        return sha256(text.encode()).hexdigest()


def manifest(files: Mapping[str, str], spec_text: str, counts: Mapping[str, int]) -> str:
    """What was compiled, by which version, and the hash of each file, as JSON."""
    hashes = {name: sha256(text.encode()).hexdigest() for name, text in sorted(files.items())}
    document = {
        "mmspec": __version__,
        "spec_sha256": sha256(spec_text.encode()).hexdigest(),
        "counts": dict(counts),
        "files": hashes,
    }
    return json.dumps(document, indent=2) + "\n"


def write(package: Package, directory: Path, force: bool = False) -> Path:
    """Write a package to `directory` atomically; refuse to replace what is not ours.

    Raises MmspecError when `directory` holds something that mmspec did not write, or (without
    `force`) that was edited since. A link to a folder stays a link.
    """
    directory = Path(os.path.abspath(directory))
    try:
        target = Path(os.path.realpath(directory))
        owned.refuse(directory, package.files, force)
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh, lock = _begun(target)
    except (OSError, ValueError) as error:
        raise unwritable(directory, error, _ELSEWHERE) from None
    try:
        for name, text in package.files.items():
            _write_file(fresh / name, text)
        for folder in {(fresh / name).parent for name in package.files}:
            folder.chmod(0o755)
        replaced = owned.names_in(target)
        _swap(fresh, target, replaced)
    except OSError as error:
        owned.remove(fresh, package.files)
        raise unwritable(directory, error, _ELSEWHERE) from None
    finally:
        os.close(lock)
    owned.sweep(target)
    return directory


def _begun(target: Path) -> tuple[Path, int]:
    """A new folder beside `target`, and the lock by which others know that it is in use."""
    while True:
        fresh = Path(tempfile.mkdtemp(prefix=owned.prefix(target), dir=target.parent))
        lock = owned.locked(fresh)
        if lock is not None and fresh.exists():
            return fresh, lock


def _write_file(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _swap(fresh: Path, directory: Path, replaced: Collection[str]) -> None:
    """Put `fresh` in the place of `directory`: one rename, or an exchange of links to it.

    replaced: names of the files that go with the old one.
    """
    if not directory.exists():
        fresh.rename(directory)
        return
    if _exchange(fresh, directory):
        owned.remove(fresh, replaced)
        return
    old = fresh.with_name(fresh.name + ".old")
    directory.rename(old)
    fresh.rename(directory)
    owned.remove(old, replaced)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two folders in one step, where the system can (Linux renameat2)."""
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    rename = getattr(library, "renameat2", None)
    if rename is None:
        return False
    here, swap = -100, 2
    return bool(rename(here, os.fsencode(first), here, os.fsencode(second), swap) == 0)
