"""Columns that are almost named like one that is read: told, for what they hold would be lost."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Any, Final

from mmspec.data import split
from mmspec.data.faults import Faults, fault
from mmspec.data.rows import Rows
from mmspec.schema.modality import Modality
from mmspec.schema.spec import Spec

SPLIT: Final = "split"
_FLAGS: Final = frozenset("0 1 0.0 1.0 true false yes no y n t f none".split())
_AROUND: Final = frozenset("is in for as use used set split flag mask row sample only".split())
"""Words that stand beside `test` in the name of a flag: `in_test`, `test_set`."""
_WORDS: Final = re.compile(r"[^\W\d_]?[^\W\d_A-Z]+|[A-Z]+")
_DIGITS: Final = re.compile(r"\d+")
_NEAR: Final = 0.8
"""Share of letters, in order, that two names have in common."""


def _names(spec: Spec) -> set[str]:
    """Every name that a column is read by."""
    cells = {text for name, each in spec.modalities.items() for text in _cells(name, each)}
    return {*spec.modalities, *spec.heads, *cells, SPLIT}


def _cells(name: str, modality: Modality) -> list[str]:
    """The names of a table's columns, each long and short."""
    return [text for key in modality.cells for text in (f"{name}.{key}", key)]


def _missing(spec: Spec, header: tuple[str, ...]) -> list[str]:
    """Names that no column has, and that nobody else would miss."""
    found = [] if SPLIT in (*header, *spec.modalities, *spec.heads) else [SPLIT]
    for name, modality in spec.modalities.items():
        if name not in header:
            cells = _cells(name, modality)
            pairs = zip(cells[::2], cells[1::2], strict=True)
            found += [each for pair in pairs if not {*pair} & {*header} for each in pair]
        if name not in header and modality.optional:
            found.append(name)
    return found


def check(place: str, rows: Rows, spec: Spec) -> None:
    """Raise MM514 for each column that is not read and almost named like one that is missing.

    A column of whatever name that holds `train` and `held-out` is taken for a split, and so is one
    such as `is_test` that says yes or no.
    """
    known, missing, faults = _names(spec), _missing(spec, rows.header), Faults()
    for name in rows.header:
        meant = None if name in known else _meant(name, missing, rows.column(name))
        if meant is not None:
            message = f"{place}: `{name}` is not read; is it meant as `{meant}`?"
            advice = f"write `{meant}` in the header, or give the column another name"
            faults.add(fault("MM514", message, advice))
    faults.check()


def _meant(name: str, missing: list[str], cells: list[Any]) -> str | None:
    """The missing column that one was meant to be."""
    sides = _sides(cells) if SPLIT in missing else set()
    for each in missing:
        is_near = _is_near(name, each)
        if each == SPLIT:
            is_near &= bool(sides - {None})
            is_near |= sides == {True, False} or _is_flag(name, cells)
        if is_near or _folded(name) == _folded(each):
            return each
    return None


def _sides(cells: list[Any]) -> set[bool | None]:
    return {split.side(cell) for cell in cells if cell is not None}


def _is_flag(name: str, cells: list[Any]) -> bool:
    """Whether a column such as `is_test` or `test_set` says yes or no of each row."""
    words = [each for each in _WORDS.findall(name) if each.casefold() not in _AROUND]
    if split.side(_folded("".join(words)).removeprefix("is").removesuffix("set")) is None:
        return False
    return all(str(cell).strip().lower() in _FLAGS for cell in cells)


def _folded(name: str) -> str:
    """A name without case, blanks and marks."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _is_near(name: str, other: str) -> bool:
    digits = [_DIGITS.findall(name), _DIGITS.findall(other)]
    if all(digits) and digits[0] != digits[1]:  # such names come in rows: image1, image2
        return False
    return SequenceMatcher(None, _folded(name), _folded(other)).ratio() >= _NEAR
