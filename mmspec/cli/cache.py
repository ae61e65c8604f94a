"""What `check` found fine is not read again until the spec, or mmspec itself, changes.

An entry is a small file in the cache folder, named by a hash of all that decides the answer. Only
valid specs are remembered: errors are found anew each time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mmspec.version import __version__

_PACKAGE: Final = Path(__file__).parents[1]
_DECIDES: Final = ("text", "expressions", "schema")
_KEPT: Final = 1000


def folder() -> Path:
    """Where entries lie: $MMSPEC_CACHE, else mmspec in $XDG_CACHE_HOME, else in ~/.cache."""
    own = os.environ.get("MMSPEC_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(own or os.path.join(base, "mmspec")) / "checked"


def key(content: bytes) -> str:
    """A hash of a spec's bytes and of the code that would judge them."""
    from hashlib import blake2b

    found = blake2b(content, digest_size=20)
    for name, size, changed in sorted(_sources()):
        found.update(f"\0{name} {size} {changed}".encode())
    found.update(__version__.encode())
    return found.hexdigest()


def _sources() -> Iterator[tuple[str, int, int]]:
    for part in _DECIDES:
        with os.scandir(_PACKAGE / part) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    state = entry.stat()
                    yield f"{part}/{entry.name}", state.st_size, state.st_mtime_ns


def recall(entry: str) -> str | None:
    """What was said about a valid spec, if it was."""
    try:
        return (folder() / entry).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def remember(entry: str, about: str) -> None:
    """Keep what was said; a cache that cannot be written is no error."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
        fresh = folder() / f".{entry}.{os.getpid()}"
        fresh.write_text(about, encoding="utf-8")
        fresh.replace(folder() / entry)
        _forget_the_oldest()
    except OSError:
        return


def _forget_the_oldest() -> None:
    with os.scandir(folder()) as entries:
        known = sorted(entries, key=lambda item: item.stat().st_mtime_ns)
    for item in known[: max(0, len(known) - _KEPT)]:
        Path(item.path).unlink(missing_ok=True)
