"""What every command prints with: colour only on terminals, JSON, errors, a sign of life."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mmspec.diagnostics import Diagnostic, MmspecError


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
        print(encodable(rendered(error.diagnostics), sys.stderr), file=sys.stderr)


def rendered(found: Iterable[Diagnostic]) -> str:
    """Diagnostics for whoever reads stderr."""
    from mmspec import diagnostics

    return diagnostics.render(found, color=is_colored(sys.stderr), width=columns(sys.stderr))


def columns(stream: TextIO) -> int:
    """Columns of the terminal that a stream is, or $COLUMNS; 80 where neither is known."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and 0 < int(given[:6]):
        return int(given[:6])
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError, AttributeError):
        return 80


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
