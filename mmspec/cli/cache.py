"""What `check` found fine is not judged again until the spec, or what judges it, changes.

An entry is a small file in the cache folder, named by a hash of all that decides the answer. Only
valid specs are remembered: errors are found anew each time.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from mmspec import private
from mmspec.version import __version__

_PACKAGE: Final = Path(__file__).parents[1]
_DECIDES: Final = (
    *("", "text", "expressions", "schema", "cli"),
    *("compiler", "compiler/lower", "compiler/relations"),
    *(f"compiler/relations/{room}" for room in ("meaning", "counting", "loops")),
)
_BESIDE: Final = ("yaml", "pydantic", "islpy")
_KEPT: Final = 1000
_FORM: Final = re.compile(rb"[1-9][0-9]{0,5}(?: [1-9][0-9]{0,5}){2}")


def key(content: bytes) -> str:
    """A hash of a spec's bytes and of the code that would judge them."""
    from hashlib import blake2b

    found = blake2b(content, digest_size=20)
    for name, size, changed in sorted(_sources()):
        found.update(f"\0{name} {size} {changed}".encode())
    found.update(f"{__version__} {sys.version}".encode())
    return found.hexdigest()


def _sources() -> Iterator[tuple[str, int, int]]:
    for part in _DECIDES:
        with os.scandir(_PACKAGE / part) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    state = entry.stat()
                    yield f"{part}/{entry.name}", state.st_size, state.st_mtime_ns
    for name in _BESIDE:
        module = find_spec(name)
        assert module is not None and module.origin is not None
        state = os.stat(Path(module.origin).parent)
        yield module.origin, state.st_size, state.st_mtime_ns


def recall(entry: str) -> tuple[int, ...] | None:
    """How many modalities, streams and heads a valid spec has, if it is remembered."""
    folder = private.cache("checked")
    said = private.read(folder / entry, 20) if folder else None
    if said is None or not _FORM.fullmatch(said):
        return None
    return tuple(map(int, said.split()))


def remember(entry: str, counts: tuple[int, ...]) -> None:
    """Keep what was found; a cache that cannot be written is no error."""
    folder = private.cache("checked")
    if folder is None:
        return
    with suppress(OSError):
        with private.written(folder / entry) as file:
            file.write(" ".join(map(str, counts)).encode())
        _forget_the_oldest(folder)


def _forget_the_oldest(folder: Path) -> None:
    with os.scandir(folder) as entries:
        known = sorted(entries, key=lambda item: item.stat(follow_symlinks=False).st_mtime_ns)
    for item in known[: max(0, len(known) - _KEPT)]:
        with suppress(OSError):
            Path(item.path).unlink(missing_ok=True)
