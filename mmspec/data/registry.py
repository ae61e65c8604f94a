"""Where data comes from: the built-in sets by name, anything else by path."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Final

from mmspec.data import manifest
from mmspec.data.faults import fault
from mmspec.data.source import Report, Source, silent
from mmspec.diagnostics import suggest
from mmspec.schema.spec import Spec

BUILTIN: Final = {
    "openmoji": "1,898 emoji: a drawing and a name, nine groups",
    "stamps": "950 stamps: a picture, a caption and the spoken caption, ten categories",
    "topics": "the topics of Python's own help: text",
    "watch": "4,677 windows of a smartwatch: two sensors and the side, seven exercises",
}
"""Built-in sets: the module of that name has `load(report) -> Source`."""


def load(name: str, spec: Spec, allow_outside: bool = False, report: Report = silent) -> Source:
    """The rows of a built-in set, or of the manifest at a path.

    `allow_outside`: a manifest's relative paths may lead out of its folder. Raises MmspecError:
    MM500 where it is neither, MM501, MM502, MM511 and MM514 from a manifest.
    """
    if name in BUILTIN:
        return builtin(name, report)
    path = Path(name)
    if path.is_file():
        return manifest.load(path, spec, allow_outside)
    raise _unknown(name, path)


def builtin(name: str, report: Report = silent) -> Source:
    """The rows of a built-in set; MM512 where its package is not installed."""
    module = import_module(f"mmspec.data.{name}")
    source: Source = module.load(report)
    return source


def _unknown(name: str, path: Path) -> Exception:
    beside = [] if path.is_dir() else _manifests(path.parent)
    within = _manifests(path) if path.is_dir() else []
    close = suggest(name, [*BUILTIN, *beside])
    advice = f"did you mean {close}? " if close else ""
    files = ", ".join(within or beside) or f"a path ending in {' or '.join(manifest.ENDINGS)}"
    message = f"`{name}` is a folder" if path.is_dir() else f"no data set or file `{name}`"
    return fault("MM500", message, f"{advice}built in: {', '.join(BUILTIN)}; manifests: {files}")


def _manifests(folder: Path) -> list[str]:
    """A few manifests in a folder."""
    if not folder.is_dir():
        return []
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in manifest.ENDINGS)
    return [str(path) for path in found[:10]]
