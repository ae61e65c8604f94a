"""Every word of every shipped spec, misspelt in one edit: the error is about that edit.

And what it proposes, written in its place, is right there.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest
from large import is_deep

from mmspec.diagnostics import Diagnostic, MmspecError, Span
from mmspec.schema.validate import validate
from mmspec.text import parse

ROOT = Path(__file__).parents[2]
SPECS = sorted((ROOT / "specs").glob("*.yaml"))
EDITS, STEP = (12, 1) if is_deep() else (1, 3)
"""How often each word is misspelt, and each how manieth word is."""
WORD = re.compile(r"[A-Za-z][A-Za-z_0-9-]*")


@lru_cache(maxsize=1)
def words(path: Path) -> tuple[str, tuple[Span, ...]]:
    """The text of a spec, and where the words of its keys and values stand."""
    document = parse(path.read_text(encoding="utf-8"), path.name)
    lines = document.text.split("\n")
    spans = [*document._keys.values()]
    spans += [s for keys, s in document._values.items() if keys and keys[0] != "about"]
    found = dict.fromkeys(
        Span(s.path, s.line, s.column + m.start(), s.line, s.column + m.end())
        for s in spans
        if s.line == s.end_line
        for m in WORD.finditer(lines[s.line - 1][s.column - 1 : s.end_column - 1])
    )
    return document.text, tuple(found)


def replaced(text: str, span: Span, word: str) -> str:
    """The text with another word at a place."""
    lines = text.split("\n")
    line = lines[span.line - 1]
    lines[span.line - 1] = line[: span.column - 1] + word + line[span.end_column - 1 :]
    return "\n".join(lines)


def there(text: str, span: Span) -> str:
    """What stands at a place, of several lines the first."""
    line = text.split("\n")[span.line - 1]
    return line[span.column - 1 : span.end_column - 1 if span.line == span.end_line else None]


def misspelt(word: str, draw: random.Random) -> str:
    """One letter left out, doubled, exchanged with the next or replaced."""
    at = draw.randrange(len(word))
    ways = [
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
        word[:at] + word[at : at + 2][::-1] + word[at + 2 :],
        word[:at] + draw.choice("aeioukqxz") + word[at + 1 :],
    ]
    return draw.choice(ways) or word + word


def problems(text: str) -> tuple[Diagnostic, ...]:
    """What is wrong with a spec."""
    try:
        validate(parse(text, "s.yaml"))
    except MmspecError as error:
        return error.diagnostics
    return ()


def cases(path: Path) -> Iterator[tuple[str, Span, str, str]]:
    """A misspelt text, where, and the word before and after."""
    text, spans = words(path)
    draw = random.Random(path.name)
    for span in spans[draw.randrange(STEP) :: STEP]:
        for _ in range(EDITS):
            word = there(text, span)
            wrong = misspelt(word, draw)
            if wrong != word:
                yield replaced(text, span, wrong), span, word, wrong


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_an_error_is_about_the_edit_and_its_proposal_is_right(path: Path) -> None:
    for text, span, word, wrong in cases(path):
        found = problems(text)
        said = [str(problem) for problem in found]
        assert not found or any(touches(p, span, text, word, wrong) for p in found), (wrong, said)
        for problem in found:
            proposal = re.search(r"did you mean `(.+?)`\?", problem.help)
            if proposal is None or problem.span is None:
                continue
            left = problems(replaced(text, problem.span, proposal[1]))
            again = [
                str(p)
                for p in left
                if p.span
                and p.span.line == problem.span.line
                and p.span.column == problem.span.column
            ]
            assert not again, (word, wrong, str(problem), again)


def touches(problem: Diagnostic, span: Span, text: str, word: str, wrong: str) -> bool:
    """Whether a problem points at the edit, or says what the edited word was to others."""
    at = problem.span
    if at is None:
        return False
    if (at.line, at.column) <= (span.line, span.column) and span.line <= at.end_line:
        return True
    named = {*WORD.findall(there(text, at)), *WORD.findall(problem.message)}
    return not named.isdisjoint({word, wrong}) or (at.line == span.line)


def test_the_words_are_many() -> None:
    assert len(SPECS) > 10
    assert sum(1 for path in SPECS for _ in cases(path)) > 200
