"""Whatever a document of up to 1 MiB holds, it is answered soon: read, or refused in few words."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count

import pytest
from large import is_deep

from mmspec.diagnostics import MOST, MmspecError, render
from mmspec.schema.validate import validate
from mmspec.text import decode, parse
from mmspec.text.document import MAX_BYTES

SIZE, PARTS, SECONDS = (MAX_BYTES, 1900, 5) if is_deep() else (1 << 15, 400, 10)
"""Of documents, and what each may take: what is quadratic takes minutes of a CPU."""

TEXT = "  text: {kind: tokens, vocab: 9, length: {max: 9}}\n"
STREAM = "{from: text, depth: 1, width: 8, heads: 2}"
HEAD = "{from: text, kind: classifier, classes: 2}"
TOP = f"mmspec: 1\nname: s\nmodalities:\n{TEXT}"
SPEC = f"{TOP}streams:\n  text: {STREAM}\nheads:\n  label: {HEAD}\n"


def repeated(unit: str, before: str = "", after: str = "") -> Callable[[int], str]:
    """A document of a size that is mostly one piece of text; `#` in it counts the pieces."""

    def make(size: int) -> str:
        if "#" not in unit:
            return before + unit * ((size - len(before) - len(after)) // len(unit)) + after
        pieces, left = [before], size - len(before) - len(after) - len(unit)
        for number in count():
            pieces.append(unit.replace("#1", str(number + 1)).replace("#", str(number)))
            left -= len(pieces[-1])
            if left < 0:
                return "".join((*pieces, after))
        raise AssertionError

    return make


def parts(kind: str, body: str, most: int = PARTS) -> Callable[[int], str]:
    """A spec of almost as many parts of a kind as are read."""
    lines = (body.replace("#1", str(n + 1)).replace("#", str(n)) for n in range(most))
    text = "".join(f"  {line}\n" for line in lines)
    return lambda size: SPEC.replace(f"{kind}:\n", f"{kind}:\n{text}")


STAIR = "".join(f"  s{n}: {STREAM.replace('text', f'[s{n - 1}, m{n}]')}\n" for n in range(1, PARTS))
DOCUMENTS: dict[str, Callable[[int], str]] = {
    "commas that are not closed": repeated("a(,", "x: [", "]"),
    "the same in a mapping": repeated("a: b(,c,", "x: {", "}"),
    "the same over lines": repeated("a(,\n ", "x: [", "]"),
    "one list in another": repeated("[a(,],", "x: [", "]"),
    "one that closes at the end": repeated("a(,", "x: [z(", "b)]"),
    "many that close at the end": lambda size: f"x: [{'(,' * (size // 4)}{'),' * (size // 4)}]",
    "brackets": repeated("[", "x: "),
    "keys of keys": repeated("? "),
    "values": repeated("a,", "x: [", "]"),
    "aliases": repeated("*a,", "y: &a b\nx: [", "]"),
    "anchors": repeated("&a# b,", "x: [", "]"),
    "a key": lambda size: f"? {'k' * size}\n: 1",
    "a long value, many times": lambda size: (
        f"x: &a {'v' * (size // 2)}\n{SPEC}objectives: {{label: [{'*a,' * (size // 8)}]}}"
    ),
    "keys that stand twice": repeated("a: 1\n"),
    "long keys around many mistakes": lambda size: (
        "".join(f"{{{'k' * 190}{n}: " for n in range(60)) + "{" + "a: 1," * (size // 8) + "}" * 61
    ),
    "numbers that are none": repeated(".inf,", "x: [", "]"),
    "unknown keys": repeated("k#: 1\n", SPEC),
    "directives": repeated("%TAG !a#! x\n", "", "---\na: 1\n"),
    "pairs of segments": repeated(
        "a# -> b#: full,", SPEC.replace("heads: 2}", "heads: 2, attention: {", 1)[:-45], "}}\n"
    ),
    "long sizes": repeated(f"{'1+' * 900}1,", f"{SPEC}objectives: {{label: {{weight: [", "]}}"),
    "long claims": repeated(
        f"- pairs(text) in O({'*'.join(['text'] * 380)})\n", f"{SPEC}claims:\n"
    ),
    "claims of nothing": repeated("- causal(s#)\n", f"{SPEC}claims:\n"),
    "dims of nothing": parts("heads", f"label: {HEAD}\ndims:\n  d#: e#", 1),
    "modalities": parts("modalities", TEXT.strip().replace("text", "m#")),
    "modalities of no kind": parts("modalities", TEXT.strip().replace("text", "m#")[:-30] + "x}"),
    "streams in a row, the last first": parts("streams", f"s#: {STREAM.replace('text', 's#1')}"),
    "streams that nothing reads": parts("streams", f"s#: {STREAM}"),
    "streams whose sizes are none": parts(
        "streams", "s#: {from: text, depth: a, width: bc, heads: []}"
    ),
    "heads of nothing": parts("heads", f"h#: {HEAD.replace('text', 'texd')}"),
    "ever more segments": lambda size: (
        TOP
        + "".join(TEXT.replace("text", f"m{n}") for n in range(PARTS))
        + f"streams:\n  s0: {STREAM}\n{STAIR}"
        + f"heads:\n  label: {HEAD.replace('text', f's{PARTS - 1}')}\n"
    ),
    "segments and one mask": lambda size: (
        TOP
        + "".join(TEXT.replace("text", f"m{n}") for n in range(PARTS))
        + f"streams:\n  s: {{from: [{', '.join(f'm{n}' for n in range(PARTS))}], depth: 1,"
        + f" width: 8, heads: 2, attention: window(before=3)}}\nheads:\n  label: {HEAD}\n"
    ),
    "digits": lambda size: f"{SPEC}about: 1.{'1' * size}",
    "zeros": lambda size: f"{SPEC}dims: {{a: {'0' * size}x}}",
    "open quotes": lambda size: f"a: '{'x' * (size // 2)}{'y ' * (size // 4)}",
}


@pytest.mark.parametrize("make", DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_document_is_answered_soon_and_in_a_few_words(make: Callable[[int], str]) -> None:
    content = make(SIZE).encode()[:MAX_BYTES]
    start = time.process_time()
    try:
        validate(decode(content, "s.yaml"))
    except MmspecError as error:
        shown = render(error.diagnostics, {"s.yaml": content.decode()})
        assert len(error.diagnostics) <= MOST
        assert len(shown) < 1000 * len(error.diagnostics)
    assert time.process_time() - start < SECONDS


def test_streams_may_read_each_other_in_any_order_however_many() -> None:
    """More of them than Python has frames."""
    names = [f"s{n}" for n in range(1500)]
    rows = [
        f"  {a}: {STREAM.replace('text', b)}\n"
        for a, b in zip(names, [*names[1:], "text"], strict=True)
    ]
    spec = validate(
        parse(f"{TOP}streams:\n{''.join(rows)}heads:\n  label: {HEAD.replace('text', 's0')}\n")
    )
    assert len(spec.streams) == 1500


def test_of_a_long_circle_the_ends_are_named() -> None:
    names = [f"s{n}" for n in range(1500)]
    rows = [
        f"  {a}: {STREAM.replace('text', b)}\n"
        for a, b in zip(names, [*names[1:], "s0"], strict=True)
    ]
    with pytest.raises(MmspecError) as caught:
        validate(
            parse(f"{TOP}streams:\n{''.join(rows)}heads:\n  label: {HEAD.replace('text', 's0')}\n")
        )
    (found,) = caught.value.diagnostics
    assert found.code == "MM302"
    assert found.message.endswith("a circle: s0 -> s1 -> s2 -> s3 -> ... -> s1499 -> s0")


LIMITS = {
    f"{SPEC}claims: [{'params <= 5, ' * 2001}]": "2,001 claims; at most 2,000 are read",
    f"x: [{'a, ' * 100_000}]": "more than 100,000 values",
    f"? {'k' * 201}\n: 1": "a key of 201 characters; the longest have 200",
    f"x: &a {'v' * 1_000_000}\ny: [*a, *a, *a, *a, *a]": (
        "aliases expand to more than 4,194,304 characters"
    ),
}


@pytest.mark.parametrize(("text", "message"), LIMITS.items(), ids=LIMITS.values())
def test_what_is_too_large_is_said(text: str, message: str) -> None:
    with pytest.raises(MmspecError) as caught:
        validate(parse(text))
    (found,) = caught.value.diagnostics
    assert (found.code, found.message) == ("MM013", message)
    assert found.help and found.span
