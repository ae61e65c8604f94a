"""Claims: sentences about a model that verify proves, tests or refutes.

claim      := comparison | growth | "causal" "(" NAME ")" | "no" "flow" "from" NAME "to" NAME
comparison := quantity ("<=" | "<" | ">=" | ">" | "==") number
quantity   := ("params" | "active_params" | "expected_depth") ["(" NAME ")"]
            | ("flops" | "useful_flops") ["(" [NAME "=" whole ("," NAME "=" whole)*] ")"]
growth     := "pairs" "(" NAME ")" "in" "O" "(" ("1" | power ("*" power)*) ")"
power      := NAME ["^" whole]
number     := decimal ["k" | "M" | "G"]
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from mmspec.diagnostics import Span
from mmspec.expressions.scanner import NOT_FINITE, Scanner, Token, did_you_mean, write


@dataclass(frozen=True, slots=True)
class Comparison:
    """`quantity(argument)` or `quantity(lengths)` compared with an exact bound."""

    quantity: str
    argument: str | None
    lengths: tuple[tuple[str, int], ...]
    relation: str
    bound: Fraction | int


@dataclass(frozen=True, slots=True)
class Growth:
    """`quantity(argument)` grows at most like the product of symbol ** exponent; () is O(1)."""

    quantity: str
    argument: str
    order: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Causal:
    """No output of the stream depends on a later input."""

    stream: str


@dataclass(frozen=True, slots=True)
class NoFlow:
    """Nothing of source (modality or stream) reaches the target stream."""

    source: str
    target: str


Claim = Comparison | Growth | Causal | NoFlow

OF_STREAM: Final = ("params", "active_params", "expected_depth")
OF_LENGTHS: Final = ("flops", "useful_flops")
RELATIONS: Final = ("<=", "<", ">=", ">", "==")
_WORDS: Final = (*OF_STREAM, *OF_LENGTHS, "pairs", "causal", "no")
_SUFFIXES: Final = {"k": 10**3, "M": 10**6, "G": 10**9}
_OTHER_SUFFIXES: Final = {
    **dict.fromkeys(("K", "thousand", "thousands"), "k"),
    **dict.fromkeys(("m", "mio", "million", "millions", "mn"), "M"),
    **dict.fromkeys(("B", "b", "g", "bn", "billion", "billions"), "G"),
}
_DENIED: Final = "a claim has no not: turn its comparison, as > for <=, or leave it out"
_MAX_EXPONENT: Final = 16
_LIMIT: Final = 2**31


def parse(text: str, span: Span | None = None) -> Claim:
    """Read a claim; raises MmspecError MM200, MM230 or MM231."""
    scanner = Scanner(text, span, "MM230", "claim")
    example = "such as `params <= 5e6` or `causal(text)`"
    word = scanner.name("a claim", _DENIED if scanner.next.text == "~" else example)
    if word.text not in _WORDS:
        denied = word.text.lower() == "not"
        scanner.fail(
            f"no claim begins with `{word.text}`",
            lambda: _DENIED if denied else did_you_mean(word.text, _WORDS, "claims begin with"),
            word,
            "MM231",
        )
    claim = _sentence(scanner, word)
    either = scanner.next.text.lower() in ("|", "or", "xor", "^")
    scanner.finish("a claim has no or: all that is claimed holds" if either else "one claim a line")
    return claim


def unparse(claim: Claim) -> str:
    """The canonical text of a claim."""
    if isinstance(claim, Causal):
        return f"causal({claim.stream})"
    if isinstance(claim, NoFlow):
        return f"no flow from {claim.source} to {claim.target}"
    if isinstance(claim, Growth):
        powers = [name if power == 1 else f"{name}^{power}" for name, power in claim.order]
        return f"{claim.quantity}({claim.argument}) in O({' * '.join(powers) or '1'})"
    inner = claim.argument or ", ".join(f"{name}={length}" for name, length in claim.lengths)
    call = f"{claim.quantity}({inner})" if inner else claim.quantity
    return f"{call} {claim.relation} {write(claim.bound)}"


def _sentence(scanner: Scanner, word: Token) -> Claim:
    if word.text == "no":
        return _no_flow(scanner)
    if word.text == "causal":
        return Causal(_in_parentheses(scanner, "causal(text)"))
    if word.text == "pairs":
        return _growth(scanner)
    argument: str | None = None
    lengths: tuple[tuple[str, int], ...] = ()
    if word.text in OF_LENGTHS:
        lengths = _lengths(scanner, word)
    elif scanner.next.text == "(":
        argument = _in_parentheses(scanner, f"{word.text}(text)")
    return Comparison(word.text, argument, lengths, _relation(scanner), _bound(scanner))


def _no_flow(scanner: Scanner) -> NoFlow:
    advice = "write `no flow from image to text`"
    scanner.expect("flow", advice)
    scanner.expect("from", advice)
    source = scanner.name("a modality or stream", advice)
    if scanner.next.text.lower() in ("and", "or", "&", "|", ","):
        advice = f"write a claim for each, such as `no flow from {source.text} to text`"
    scanner.expect("to", advice)
    return NoFlow(source.text, scanner.name("a stream", advice).text)


def _in_parentheses(scanner: Scanner, example: str) -> str:
    advice = f"write `{example}`"
    scanner.expect("(", advice)
    name = scanner.name("a name", advice)
    scanner.expect(")", advice)
    return name.text


def _lengths(scanner: Scanner, word: Token) -> tuple[tuple[str, int], ...]:
    """Lengths by modality: nothing, `()` or `(text=64, audio=200)`."""
    found: dict[str, int] = {}
    advice = f"write `{word.text}(text=64)`: a length for each modality"
    if not scanner.accept("(") or scanner.accept(")"):
        return ()
    while True:
        name = scanner.name("a modality", advice)
        scanner.expect("=", advice)
        value = scanner.next
        if name.text in found:
            scanner.fail(f"the length of `{name.text}` is given twice", advice, name)
        found[name.text] = scanner.whole(f"the length of `{name.text}`")
        if found[name.text] >= _LIMIT:
            scanner.fail("a length is below 2**31", token=value)
        if scanner.accept(")"):
            return tuple(found.items())
        scanner.expect(",", advice)


def _relation(scanner: Scanner) -> str:
    relation = scanner.accept(*RELATIONS)
    if relation is None:
        either = f"one of {' '.join(RELATIONS)}"
        meant = {"<": "write <=", ">": "write >="}.get(scanner.after.text, "write ==")
        advice = meant if scanner.next.text == "=" else either
        scanner.fail(f"expected a comparison{scanner.found()}", advice)
    if relation.text in ("<", ">") and scanner.next.text == "=":
        scanner.fail("a comparison has no blank within", f"write {relation.text}=")
    return relation.text


def _bound(scanner: Scanner) -> Fraction | int:
    start = scanner.next
    if start.kind == "name" and start.text.lower() not in NOT_FINITE:
        scanner.fail(f"expected a number{scanner.found()}", "a bound is a number, as 5e6 or 2M")
    value = scanner.rational()
    if scanner.next.text == "," and re.fullmatch("[0-9]{1,3}(,[0-9]{3})+", _rest(scanner, start)):
        whole = _rest(scanner, start)
        scanner.fail(f"`{whole}` has commas", f"write {whole.replace(',', '')}")
    if scanner.next.kind == "name" and scanner.next.text.lower() not in ("and", "or", "xor"):
        token = scanner.take()
        if token.text not in _SUFFIXES:
            ours = _OTHER_SUFFIXES.get(token.text)
            advice = f"write {ours}" if ours else "use k, M or G"
            scanner.fail(f"`{token.text}` is no suffix of a number", advice, token)
        value *= _SUFFIXES[token.text]
    return int(value) if value.denominator == 1 else value


def _rest(scanner: Scanner, start: Token) -> str:
    return scanner.text[start.start :].strip()


def _growth(scanner: Scanner) -> Growth:
    advice = "write `pairs(audio) in O(audio)`"
    argument = _in_parentheses(scanner, "pairs(audio)")
    scanner.expect("in", advice)
    scanner.expect("O", advice)
    scanner.expect("(", advice)
    order: dict[str, int] = {}
    if scanner.next.kind == "number":
        _one(scanner)
    else:
        _power(scanner, order)
        while scanner.accept("*"):
            _power(scanner, order)
    scanner.expect(")", "an order is a product of powers, such as O(text * audio^2)")
    return Growth("pairs", argument, tuple(order.items()))


def _one(scanner: Scanner) -> None:
    token = scanner.next
    if scanner.whole("a constant order") != 1:
        scanner.fail("a constant order is O(1)", "leave constant factors out", token)


def _power(scanner: Scanner, order: dict[str, int]) -> None:
    name = scanner.name("a modality", "an order is a product of powers, such as O(audio^2)")
    if scanner.next.text == "(":
        message = f"an order has no functions such as `{name.text}`"
        scanner.fail(message, "write a product of powers, such as O(audio^2)", name)
    exponent = 1
    if scanner.accept("^", "**"):
        token = scanner.next
        exponent = scanner.whole("an exponent")
        if not 1 <= exponent <= _MAX_EXPONENT:
            scanner.fail(f"an exponent is from 1 to {_MAX_EXPONENT}", token=token)
    order[name.text] = order.get(name.text, 0) + exponent
