"""Choices with arguments: `normal(0.02)`, `normal(std=0.02)` or the word alone.

choice   := word ["(" [argument {"," argument}] ")"]
argument := [name "="] (decimal | "true" | "false" | word | size)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mmspec.diagnostics import Span
from mmspec.expressions import words
from mmspec.expressions.scanner import Scanner, Token, did_you_mean

Argument = str | int | float | bool
_TRUTH: Final = {"true": True, "false": False}


def parse(
    text: str, takes: Mapping[str, tuple[str, ...]], key: str, span: Span | None = None
) -> dict[str, Argument]:
    """`kind` and the arguments that are given, by name.

    takes: the arguments of each word; key: where the choice stands.

    Words and sizes such as `4*d` stay text, among as many blanks as characters stand around them,
    so that columns are those of the whole. Raises MmspecError MM103 for a word that is none of the
    choices, MM105 for wrong arguments.
    """
    word = text.partition("(")[0].strip()
    scanner = Scanner(text, span, "MM105", f"words for {key}")
    if word not in takes:
        end = len(text) - len(text.lstrip()) + len(word)
        token = Token("name", word, end - len(word), end)
        said = f"`{word}` is not one of the choices here" if word else "expected a word"
        scanner.fail(said, lambda: _meant(word, takes, key), token, "MM103")
    while scanner.next.text != "(" and scanner.next.kind != "end":
        scanner.take()
    given: dict[str, Argument] = {"kind": word}
    if scanner.accept("("):
        _arguments(scanner, word, takes[word], given)
    scanner.finish(f"write `{text[: scanner.next.start].strip()}`")
    return given


def _meant(word: str, takes: Mapping[str, tuple[str, ...]], key: str) -> str:
    """What to write for a word that is none of the choices."""
    why = words.absent(word) or words.absent(f"{word} {key}")
    told = f"one of: {', '.join(takes)}; {why}"
    return told if why else did_you_mean(word, takes, f"words for {key}")


def _arguments(
    scanner: Scanner, word: str, names: tuple[str, ...], given: dict[str, Argument]
) -> None:
    """Read from after the opening parenthesis to after the closing one."""
    while not scanner.accept(")"):
        if len(given) > 1 and not scanner.accept(","):
            scanner.fail(f"expected `,` or `)`{scanner.found()}")
        token = scanner.next
        named = token.kind == "name" and scanner.after.text == "="
        left = [name for name in names if name not in given]
        name = token.text if named else next(iter(left), "")
        if name not in names:
            usage = f"write `{word}({', '.join(names)})`" if names else f"write `{word}`"
            said = f"has no argument `{name}`" if named else f"takes {len(names) or 'no'} argument"
            plural = "" if named or len(names) == 1 else "s"
            scanner.fail(f"{word} {said}{plural}", usage, token)
        if name in given:
            scanner.fail(f"`{name}` is given twice", "", token)
        if named:
            scanner.take()
            scanner.take()
        given[name] = _value(scanner)


def _value(scanner: Scanner) -> Argument:
    """A number, a word, or the text of a size."""
    first, last, depth = scanner.next, scanner.next, 0
    if first.kind == "number" and scanner.after.text in (",", ")", ""):
        number = scanner.decimal()
        return int(number) if number.denominator == 1 else float(number)
    while scanner.next.kind != "end" and (depth or scanner.next.text not in (",", ")")):
        last = scanner.take()
        depth += (last.text == "(") - (last.text == ")")
    if first is scanner.next:
        scanner.fail(f"expected a number or a word{scanner.found()}")
    text = scanner.text[first.start : last.end]
    padded = f"{' ' * first.start}{text}".ljust(len(scanner.text))
    return _TRUTH.get(text, padded)
