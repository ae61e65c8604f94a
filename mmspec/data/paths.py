"""Where the files lie that a manifest names: in its own folder, unless it is told otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import normalize

from mmspec.data.faults import decoding, fault
from mmspec.diagnostics import suggest


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of a manifest; `is_open`: whether relative paths may lead out of it."""

    folder: Path
    is_open: bool = False
    real: Path = field(init=False)

    def __post_init__(self) -> None:
        """Follow links to the folder itself once."""
        object.__setattr__(self, "real", self.folder.resolve())

    def file(self, cell: str) -> Path:
        """The file that a cell names; raises MM501 where it is none, or lies outside.

        An absolute path is taken as given. Names are the same in whichever of Unicode's normal
        forms they are written.
        """
        path = self.folder / cell
        with decoding(path):
            if "\0" in cell:
                raise ValueError("a path holds no NUL")
            self._check(path, cell)
            found = path if path.exists() else _respelt(path)
            self._check(found, cell)
            return present(found)

    def _check(self, path: Path, cell: str) -> None:
        """Raise MM501 where a relative path leads out of the folder, by `..` or by a link."""
        if self.is_open or Path(cell).is_absolute() or path.resolve().is_relative_to(self.real):
            return
        message = f"`{cell}` leads out of the manifest's folder"
        advice = "--allow-outside (in Python allow_outside=True) permits it, or write its full path"
        raise fault("MM501", message, advice)


def present(path: Path) -> Path:
    """The path, if a file is there; raises MM501."""
    if path.is_file():
        return path
    if path.is_dir():
        raise fault("MM501", f"`{path}` is a folder", "name a file in it")
    if path.exists():
        raise fault("MM501", f"`{path}` is no regular file", "name a file that stays as it is")
    beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    close = suggest(path.name, beside)
    advice = f"did you mean {close}? " if close else ""
    relative = "paths of a manifest are relative to it, others to the working folder"
    raise fault("MM501", f"no file `{path}`", f"{advice}{relative}")


def _respelt(path: Path) -> Path:
    """The path whose parts are the same letters, composed otherwise; itself where none is."""
    if path.parent == path:
        return path
    parent = path.parent if path.parent.exists() else _respelt(path.parent)
    if not parent.is_dir():
        return path
    wanted = normalize("NFC", path.name)
    alike = sorted(each for each in parent.iterdir() if normalize("NFC", each.name) == wanted)
    return alike[0] if alike else parent / path.name
