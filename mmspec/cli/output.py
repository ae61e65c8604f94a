"""What every command prints with: colour only on terminals, JSON, errors, a sign of life."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from mmspec.diagnostics import MmspecError

_PATIENCE = 1.5
_FRAMES = "|/-\\"


def is_terminal(stream: TextIO) -> bool:
    """A person reads the stream at a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def is_colored(stream: TextIO) -> bool:
    """The stream is a terminal, and NO_COLOR is not set."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def machine(value: Any) -> None:
    """Print a value as JSON for a machine; NaN becomes null, keys keep their order."""
    import json

    print(json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False, default=str))


def _finite(value: Any) -> Any:
    """The value with every infinity and NaN replaced by None."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def errors(error: MmspecError, as_json: bool = False) -> None:
    """Print diagnostics: on stderr for a person, on stdout as `{"errors": [...]}` for a machine."""
    from mmspec import diagnostics

    if as_json:
        machine({"errors": diagnostics.as_json(error.diagnostics)})
    else:
        text = diagnostics.render(error.diagnostics, color=is_colored(sys.stderr))
        print(encodable(text, sys.stderr), file=sys.stderr)


def note(message: str) -> None:
    """One line on stderr, beside the output proper."""
    print(encodable(f"mmspec: {message}", sys.stderr), file=sys.stderr, flush=True)


def encodable(text: str, stream: TextIO) -> str:
    """The text with what the stream cannot encode written as escapes."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def plural(count: int, noun: str) -> str:
    """`1 claim`, `2 claims`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


@contextmanager
def waiting(message: str, *left: str) -> Generator[None]:
    """Show on stderr what is being done, and what is left, once it has taken more than a moment."""
    if left:
        message = f"{message} (then: {', '.join(left)})"
    done = threading.Event()
    worker = threading.Thread(target=_show_waiting, args=(message, done), daemon=True)
    worker.start()
    try:
        yield
    finally:
        done.set()
        worker.join()


def _show_waiting(message: str, done: threading.Event) -> None:
    start = time.monotonic()
    if done.wait(_PATIENCE):
        return
    if not is_terminal(sys.stderr):
        note(f"{message} ...")
        return
    turn = 0
    while not done.wait(0.1):
        frame, seconds = _FRAMES[turn % len(_FRAMES)], time.monotonic() - start
        shown = f"{message} {seconds:.0f} s"[: max(shutil.get_terminal_size().columns, 24) - 4]
        print(
            f"\r\x1b[K{frame} {shown}",
            end="",
            file=sys.stderr,
            flush=True,
        )
        turn += 1
    print("\r\x1b[K", end="", file=sys.stderr, flush=True)
