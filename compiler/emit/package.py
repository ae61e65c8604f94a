"""Files of a package, and writing them so that a killed run leaves the old one whole."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from mmspec.diagnostics import Diagnostic, MmspecError
from mmspec.version import __version__

BANNER = "Compiled by mmspec"


@dataclass(frozen=True, slots=True)
class Package:
    """Files of an emitted package, by name, as text."""

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


def write(package: Package, directory: Path) -> Path:
    """Write a package to `directory` atomically; refuse to replace what is not ours.

    Raises MmspecError when `directory` holds something that mmspec did not write. A link to a
    folder stays a link.
    """
    directory = Path(os.path.abspath(directory))
    target = Path(os.path.realpath(directory))
    try:
        _refuse_strangers(directory)
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise _cannot_write(directory, error) from None
    try:
        for name, text in package.files.items():
            _write_file(fresh / name, text)
        fresh.chmod(0o755)
        _swap(fresh, target)
    except OSError as error:
        raise _cannot_write(directory, error) from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return directory


def _write_file(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _swap(fresh: Path, directory: Path) -> None:
    """Put `fresh` in the place of `directory`: one rename, or an exchange of links to it."""
    if not directory.exists():
        fresh.rename(directory)
        return
    if _exchange(fresh, directory):
        return
    old = fresh.with_name(fresh.name + ".old")
    directory.rename(old)
    fresh.rename(directory)
    shutil.rmtree(old, ignore_errors=True)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two folders in one step, where the system can (Linux renameat2)."""
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    rename = getattr(library, "renameat2", None)
    if rename is None:
        return False
    here, swap = -100, 2
    return bool(rename(here, os.fsencode(first), here, os.fsencode(second), swap) == 0)


def _refuse_strangers(directory: Path) -> None:
    """A folder that holds files but no manifest of ours is the user's own."""
    if not directory.exists():
        return
    if not directory.is_dir():
        raise MmspecError(
            (Diagnostic("MM601", f"{directory} is a file", help="choose a folder with -o"),)
        )
    try:
        written = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
        known = set(written["files"]) if "mmspec" in written else set[str]()
    except (OSError, ValueError, KeyError, TypeError):
        known = set[str]()
    ours = known | {"manifest.json", "__pycache__"}
    strange = sorted(entry.name for entry in directory.iterdir() if entry.name not in ours)
    if strange or (not known and any(directory.iterdir())):
        raise MmspecError(
            (
                Diagnostic(
                    "MM602",
                    f"{directory} holds files that mmspec did not write: {', '.join(strange[:5])}",
                    help="choose another folder with -o, or move them away",
                ),
            )
        )


def _cannot_write(directory: Path, error: OSError) -> MmspecError:
    message = f"cannot write {directory}: {error.strerror or error}"
    return MmspecError((Diagnostic("MM603", message, help="choose another folder with -o"),))
