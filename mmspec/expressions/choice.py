"""Choices with arguments: `normal(0.02)`, `normal(std=0.02)` or the word alone.

choice   := word ["(" [argument {"," argument}] ")"]
argument := [name "="] decimal
"""

from __future__ import annotations

from collections.abc import Mapping

from mmspec.diagnostics import Span
from mmspec.expressions.scanner import Scanner, Token, did_you_mean


def parse(
    text: str, takes: Mapping[str, tuple[str, ...]], what: str, span: Span | None = None
) -> dict[str, str | float]:
    """`kind` and the arguments that are given, by name; `takes`: the arguments of each word.

    Raises MmspecError MM103 for a word that is none of the choices, MM105 for wrong arguments.
    """
    word = text.partition("(")[0].strip()
    scanner = Scanner(text, span, "MM105", what)
    if word not in takes:
        end = len(text) - len(text.lstrip()) + len(word)
        token = Token("name", word, end - len(word), end)
        said = f"`{word}` is not one of the choices here" if word else "expected a word"
        scanner.fail(said, lambda: did_you_mean(word, takes, f"words for {what}"), token, "MM103")
    while scanner.next.text != "(" and scanner.next.kind != "end":
        scanner.take()
    given: dict[str, str | float] = {"kind": word}
    if scanner.accept("("):
        _arguments(scanner, word, takes[word], given)
    scanner.finish(f"write `{text[: scanner.next.start].strip()}`")
    return given


def _arguments(
    scanner: Scanner, word: str, names: tuple[str, ...], given: dict[str, str | float]
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
        given[name] = float(scanner.decimal())
