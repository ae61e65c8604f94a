"""What is wrong, where, and what to write instead: the one kind of error users see."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from mmspec.codes import CODES

__all__ = [
    "CODES",
    "MOST",
    "Diagnostic",
    "MmspecError",
    "Span",
    "as_json",
    "dotted",
    "explain",
    "is_full",
    "listed",
    "printable",
    "render",
    "shortened",
    "suggest",
    "unwritable",
]


MOST: Final = 200
"""So many problems are told at once: whoever has more will mend these first."""


_FEW: Final = 200
NARROW: Final = 80
"""Columns of a terminal that does not say how many it has."""


@dataclass(frozen=True, slots=True)
class Span:
    """A range of a file, 1-based in lines and columns; `end_column` is one past the last."""

    path: str
    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem: its code, the fact, the place in text and in the spec, and what to write."""

    code: str
    message: str
    span: Span | None = None
    where: str = ""
    help: str = ""

    def __str__(self) -> str:
        place = f"{self.span} " if self.span else ""
        inside = f" (in {self.where})" if self.where else ""
        advice = f"; {self.help}" if self.help else ""
        return printable(f"{place}error[{self.code}]: {self.message}{inside}{advice}")


class MmspecError(Exception):
    """Every problem found by one step, in the order found.

    One that is given as a function is made when it is asked for: of thousands few are shown.
    """

    def __init__(
        self, diagnostics: Diagnostic | Iterable[Diagnostic] | Callable[[], Diagnostic]
    ) -> None:
        super().__init__()
        self._given = diagnostics if callable(diagnostics) else None
        found = (diagnostics,) if isinstance(diagnostics, Diagnostic) else diagnostics
        self._found = () if callable(found) else tuple(found)
        assert self._given or self._found, "an MmspecError says what is wrong"

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """The problems."""
        if self._given is not None:
            self._found, self._given = (self._given(),), None
        return self._found

    def __reduce__(self) -> tuple[type[MmspecError], tuple[tuple[Diagnostic, ...]]]:
        return MmspecError, (self.diagnostics,)

    def __str__(self) -> str:
        return "\n".join(str(diagnostic) for diagnostic in self.diagnostics)


_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def is_full(error: BaseException) -> bool:
    """Whether a disk, or whatever is written to, takes no more."""
    return isinstance(error, OSError) and error.errno in _FULL


def unwritable(
    path: str | os.PathLike[str], error: OSError | ValueError, advice: str = ""
) -> MmspecError:
    """MM603: something cannot be written, for this reason; `advice`: what helps but for space."""
    reason = (getattr(error, "strerror", None) or str(error)).lower()
    remedy = "free some space" if is_full(error) else ""
    help_text = ", or ".join(filter(None, (remedy, advice)))
    message = f"cannot write {os.fspath(path)}: {reason}"
    return MmspecError(Diagnostic("MM603", message, help=help_text))


def explain(code: str) -> str:
    """The title and explanation of a code, or a sentence naming the nearest code."""
    if code.upper() in CODES:
        title, explanation = CODES[code.upper()]
        return f"{code.upper()}: {title}\n\n{explanation}"
    close = suggest(code.upper(), CODES)
    return printable(f"no code `{code}`" + (f"; did you mean {close}?" if close else ""))


def suggest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate a misspelt word most likely means, None when none is near.

    Among very many only those of about the length and with the first letter are looked at.
    """
    import difflib

    folded = {candidate.casefold(): candidate for candidate in candidates}
    wanted = word[:100].casefold()
    if len(folded) > _FEW:
        similar = (each for each in folded if abs(len(each) - len(wanted)) < 3)
        folded = {each: folded[each] for each in similar if each[:1] == wanted[:1]}
        folded = dict(islice(folded.items(), _FEW))
    close = difflib.get_close_matches(wanted, list(folded), 1)
    return folded[close[0]] if close else None


def listed(words: Iterable[str], most: int = 20) -> str:
    """Words with commas between; of very many the first."""
    known = list(words)
    rest = f", and {len(known) - most:,} more" if len(known) > most else ""
    return ", ".join(known[:most]) + rest


def shortened(text: str, most: int = 60) -> str:
    """The text, or its beginning where it is longer than a message has room for."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def dotted(keys: Iterable[object]) -> str:
    """The way to a value, such as `streams.text.depth`."""
    return shortened(".".join(shortened(str(key)) for key in keys), 300)


def as_json(diagnostics: Iterable[Diagnostic]) -> list[dict[str, Any]]:
    """Plain data of the diagnostics, each with the title of its code, for machines."""
    titles = {code: title for code, (title, _) in CODES.items()}
    return [asdict(d) | {"title": titles.get(d.code, "")} for d in diagnostics]


def render(
    diagnostics: Iterable[Diagnostic],
    sources: Mapping[str, str] | None = None,
    color: bool = False,
    width: int = NARROW,
) -> str:
    """The diagnostics as text, each with its source line and a caret under the place.

    width: columns of the terminal, into which each source line is cut. `sources` maps paths to
    text; a path that is not in it is read from disk if it can be.
    """
    cache = dict(sources or {})
    return "\n\n".join(_render_one(diagnostic, cache, color, width) for diagnostic in diagnostics)


def _render_one(diagnostic: Diagnostic, sources: dict[str, str], color: bool, width: int) -> str:
    paint = _paint if color else _plain
    place = f"{diagnostic.span} " if diagnostic.span else ""
    head = paint(f"error[{diagnostic.code}]", "1;31")
    lines = [f"{printable(place)}{head}: {printable(diagnostic.message)}"]
    if diagnostic.span:
        source = _source_line(diagnostic.span, sources)
        lines += _excerpt(diagnostic.span, source, color, width) if source is not None else []
    if diagnostic.where:
        lines.append(printable(f"in {diagnostic.where}"))
    if diagnostic.help:
        lines.append(f"{paint('help', '1;36')}: {printable(diagnostic.help)}")
    return "\n".join(lines)


def _source_line(span: Span, sources: dict[str, str]) -> str | None:
    if span.path not in sources:
        try:
            with open(span.path, encoding="utf-8", errors="replace") as file:
                sources[span.path] = file.read(1 << 22)
        except (OSError, ValueError):
            sources[span.path] = ""
    lines = _lines(sources[span.path])
    return lines[span.line - 1] if span.line <= len(lines) and any(lines) else None


@lru_cache(maxsize=4)
def _lines(text: str) -> list[str]:
    return text.split("\n")


_LEAST: Final = 24


def _excerpt(span: Span, source: str, color: bool, width: int) -> list[str]:
    """The source line and the caret line, behind a gutter with the line number.

    Of a line that the terminal would break the part around the place is shown.
    """
    source = source.rstrip("\r")
    start = min(span.column - 1, len(source))
    one_line = span.end_line == span.line
    end = min(span.end_column - 1, len(source)) if one_line else len(source.rstrip())
    number = str(span.line)
    room = max(_LEAST, width - len(number) - 3)
    source, start, end = _window(source, start, end, room)
    gap = " " * _width(printable(source[:start]))
    carets = "^" * max(1, _width(printable(source[start:end])))
    paint = _paint if color else _plain
    gutter = paint(f"{number} |", "34")
    blank = paint(f"{' ' * len(number)} |", "34")
    return [f"{gutter} {printable(source)}", f"{blank} {gap}{paint(carets, '1;31')}"]


def _window(source: str, start: int, end: int, room: int) -> tuple[str, int, int]:
    """What to show of a line within so many columns: the place itself and what is next to it."""
    if _width(printable(source[: room + 1])) <= room and len(source) <= room:
        return source, start, end
    room -= 6  # for `...` at both sides
    left = right = start
    used = 0

    def fits(at: int) -> bool:
        return 0 <= at < len(source) and used + _width(printable(source[at])) <= room

    while right < end and fits(right):
        used += _width(printable(source[right]))
        right += 1
    before = max(used, min(room, used + (room - used) // 4))
    while left and fits(left - 1) and used < before:
        left -= 1
        used += _width(printable(source[left]))
    while fits(right):
        used += _width(printable(source[right]))
        right += 1
    while left and fits(left - 1):
        left -= 1
        used += _width(printable(source[left]))
    while left < start and not _width(source[left]):  # a mark goes with its letter
        left += 1
    dots = "..." if left else "", "..." if right < len(source) else ""
    shift = len(dots[0]) - left
    return f"{dots[0]}{source[left:right]}{dots[1]}", start + shift, min(end, right) + shift


def _width(text: str) -> int:
    """Columns that text takes in a terminal."""
    if text.isascii():
        return len(text)
    import unicodedata

    def of(character: str) -> int:
        if unicodedata.category(character) in ("Mn", "Me") or "\u1160" <= character <= "\u11ff":
            return 0
        return 2 if unicodedata.east_asian_width(character) in "WF" else 1

    return sum(map(of, text))


def printable(text: str) -> str:
    """Text that cannot steer a terminal: tabs become spaces, other controls are escaped."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c == "\n" else " " if c == "\t" else ascii(c)[1:-1] for c in text
    )


def _paint(text: str, style: str) -> str:
    return f"\x1b[{style}m{text}\x1b[0m"


def _plain(text: str, style: str) -> str:
    return text
