"""Masks: precedence, arguments, canonical text, and refusals that say what to write."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from source_tree import modules

from mmspec.diagnostics import MmspecError, Span
from mmspec.expressions.mask import (
    LATER,
    And,
    Mask,
    Not,
    Or,
    Pattern,
    fold,
    parse,
    parse_pair,
    patterns,
    simplify,
    unparse,
    write,
)
from mmspec.expressions.mask_patterns import PATTERNS

FULL, NONE, CAUSAL = Pattern("full"), Pattern("none"), Pattern("causal")


def window(before: int, after: int) -> Pattern:
    return Pattern("window", (("before", before), ("after", after)))


@pytest.mark.parametrize(
    ("text", "mask"),
    [
        ("full | none & ~causal", Or(FULL, And(NONE, Not(CAUSAL)))),
        ("(full | none) & causal", And(Or(FULL, NONE), CAUSAL)),
        ("~full & none", And(Not(FULL), NONE)),
        ("~(full & none)", Not(And(FULL, NONE))),
        ("full | none | causal", Or(Or(FULL, NONE), CAUSAL)),
        ("full & (none & causal)", And(FULL, And(NONE, CAUSAL))),
        ("~~causal()", Not(Not(CAUSAL))),
        ("window(before=3)", window(3, 0)),
        ("window(after=2)", window(0, 2)),
        ("window(3, 2)", window(3, 2)),
        ("window(after=2, before=3)", window(3, 2)),
        ("window(before=0)", window(0, 0)),
        ("dilated(4, 64)", Pattern("dilated", (("step", 4), ("reach", 64)))),
        ("dilated(4, reach=64)", Pattern("dilated", (("step", 4), ("reach", 64)))),
        ("block(16)", Pattern("block", (("size", 16),))),
        ("global(1)", Pattern("global", (("count", 1),))),
        ("random(3)", Pattern("random", (("blocks", 3), ("seed", 0)))),
        ("within(500 ms)", Pattern("within", (("duration", Fraction(1, 2)),))),
        ("axial(row)", Pattern("axial", (("axis", "row"),))),
        ("shifted_window(7, shift=3)", Pattern("shifted_window", (("size", 7), ("shift", 3)))),
        ("\n full\t|\n none ", Or(FULL, NONE)),
    ],
)
def test_meaning(text: str, mask: Mask) -> None:
    assert parse(text) == mask


def test_arguments_by_name() -> None:
    mask = parse("window(before=3)")
    assert isinstance(mask, Pattern)
    assert (mask.get("before"), mask.size("after")) == (3, 0)
    with pytest.raises(KeyError):
        mask.get("count")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("causal()", "causal"),
        ("window(7,7)|global(1)", "window(before=7, after=7) | global(count=1)"),
        ("((full)&((none)))", "full & none"),
        ("~(full)|(none&causal)", "~full | none & causal"),
        ("full&(none|causal)", "full & (none | causal)"),
        ("full|(none|causal)", "full | (none | causal)"),
        ("within(0.5 s)", "within(duration=500 ms)"),
    ],
)
def test_canonical_text(text: str, canonical: str) -> None:
    assert unparse(parse(text)) == canonical


def test_patterns_in_order() -> None:
    found = patterns(parse("~causal & (full | window(1, 2)) | full"))
    assert found == (CAUSAL, FULL, window(1, 2), FULL)


REFUSED = {
    "MM200": [
        *["full; none", "full.__class__", "fuII\u0301", "\uff46ull", "__import__('os')"],
        *["'full'", "{full}", "full\x00", "~" * 65 + "full"],
        *["(" * 65 + "full" + ")" * 65, "full|" * 65 + "full", "full" + " " * 2000],
    ],
    "MM210": [
        *["within(500)", "within(3 Hz)", "within(duration=3)"],
    ],
    "MM220": [
        *["", "full none", "full |", "(full", "full)", "& full", "full and none"],
        *["block(size=1", "block(1 2)", "4", "block(size=)", "block(1.5)", "block(d)"],
    ],
    "MM221": [
        *["fulll", "Full", "window3", "eval(1)"],
    ],
    "MM222": [
        *["window", "window()", "window(128)", "window(3, after=2)", "window(before=-1)"],
        *["window(before=1, before=2)", "causal(1)", "window(before=1, 2)"],
        *["window(after=1, 2)", "window(1, 2, 3)", "block", "block(0)"],
        *["block(2147483648)", "block(width=1)", "dilated(4)", "dilated(0, 4)"],
        *["global(0)", "axial(up)"],
    ],
}


@pytest.mark.parametrize(
    ("code", "text"),
    [(code, text) for code, texts in REFUSED.items() for text in texts],
    ids=lambda text: ascii(text)[:30],
)
def test_refused(code: str, text: str) -> None:
    with pytest.raises(MmspecError) as caught:
        parse(text, Span("s.yaml", 3, 5, 3, 5 + len(text)))
    (found,) = caught.value.diagnostics
    assert found.code == code
    assert found.span is not None
    assert 5 <= found.span.column <= 5 + len(text)


@pytest.mark.parametrize(
    ("text", "advice", "column", "end"),
    [
        ("causal | windw(before=3)", "did you mean `window`?", 10, 15),
        ("window(128)", "write window(before=127) for the last 128 keys", 1, 7),
        ("window(before=1, befor=2)", "write window(before=8, after=8)", 18, 23),
        ("block(size=0)", "write block(size=8)", 12, 13),
        ("full ∧ none", "write `full & none`", 6, 7),
        ("full ! none", "~ (not)", 6, 7),
        ("within(500)", "write `500 ms`", 8, 11),
        ("window(before)", "write window(before=8, after=8)", 8, 14),
        ("random(1, seed=1.5)", "write random(blocks=8, seed=8)", 16, 19),
        ("text -> text: causal", "masks by pair are a mapping", 13, 14),
    ],
)
def test_help_and_place(text: str, advice: str, column: int, end: int) -> None:
    with pytest.raises(MmspecError) as caught:
        parse(text, Span("s.yaml", 1, 1, 1, 1 + len(text)))
    (found,) = caught.value.diagnostics
    assert advice in found.help
    assert found.span == Span("s.yaml", 1, column, 1, end)


def test_pairs() -> None:
    assert parse_pair("text -> image") == ("text", "image")
    assert parse_pair("a->b2") == ("a", "b2")
    for text in ("text", "text -> ", "text - > image", "a -> b -> c", "a => b", "a → b", "1 -> b"):
        with pytest.raises(MmspecError, match=r"MM223|MM200"):
            parse_pair(text)


def test_what_comes_later_is_refused_by_name() -> None:
    assert len(PATTERNS) == 17
    for name in sorted(LATER):
        with pytest.raises(MmspecError, match=r"MM401.*not compiled yet"):
            parse(f"causal & {name}(size=4)")


def _values(name: str) -> st.SearchStrategy[Mask]:
    kinds = {
        "size": st.integers(1, 2**31 - 1),
        "axis": st.sampled_from(["row", "column", "frame"]),
        "duration": st.fractions(0, 100, max_denominator=999),
    }
    given_values = [st.tuples(st.just(p.name), kinds[p.kind]) for p in PATTERNS[name].parameters]
    return st.tuples(*given_values).map(lambda arguments: Pattern(name, tuple(arguments)))


MASKS = st.recursive(
    st.sampled_from(sorted(PATTERNS)).flatmap(_values),
    lambda inner: (
        st.builds(And, inner, inner) | st.builds(Or, inner, inner) | st.builds(Not, inner)
    ),
    max_leaves=12,
)


@given(MASKS)
def test_text_round_trips(mask: Mask) -> None:
    assert parse(unparse(mask)) == mask


@given(st.text(max_size=30) | st.text(alphabet="fulnocas~&|()=,- 12>", max_size=30))
def test_any_text_is_a_mask_or_refused(text: str) -> None:
    try:
        mask = parse(text)
    except MmspecError:
        return
    assert parse(unparse(mask)) == mask


WORDS = ["full", "window", "block", "(", ")", "~", "&", "|", ",", "=", "before", "size", "3", "-"]


@given(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join))
def test_any_words_are_a_mask_or_refused(text: str) -> None:
    try:
        mask = parse(text)
    except MmspecError:
        return
    assert parse(unparse(mask)) == mask


@given(MASKS)
def test_a_fold_is_told_each_part_once_from_left_to_right(mask: Mask) -> None:
    told: list[str] = []

    def note(text: str) -> str:
        told.append(text)
        return text

    written = fold(
        mask,
        lambda pattern: note(unparse(pattern)),
        lambda operand: note(f"~({operand})"),
        lambda one, other: note(f"({one}) & ({other})"),
        lambda one, other: note(f"({one}) | ({other})"),
    )
    assert parse(written) == mask
    assert told[-1] == written
    assert [text for text in told if parse(text) in patterns(mask)] == list(
        map(unparse, patterns(mask))
    )


def test_a_part_that_is_told_as_a_whole_is_not_taken_apart() -> None:
    def whole(part: Mask) -> str | None:
        return "W" if isinstance(part, And) else None

    mask = parse("~(causal & full) | block(3)")
    found = fold(
        mask, lambda one: one.name, "~{}".format, "{} & {}".format, "{} | {}".format, whole
    )
    assert found == "~W | block"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("~full", "none"),
        ("~none & causal", "causal"),
        ("causal & full", "causal"),
        ("full & causal", "causal"),
        ("causal & none", "none"),
        ("none | causal", "causal"),
        ("causal | none", "causal"),
        ("full | causal", "full"),
        ("causal | ~(causal & none)", "full"),
        ("causal & causal", "causal"),
        ("(causal | none) | causal", "causal"),
        ("~~causal", "~~causal"),
        ("causal & block(2) | block(2)", "causal & block(size=2) | block(size=2)"),
    ],
)
def test_simplified_masks_have_no_constants_inside(text: str, expected: str) -> None:
    assert unparse(simplify(parse(text))) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("causal & (full & none)", "causal & full & none"),
        ("causal | (full | none & causal)", "causal | full | none & causal"),
        ("causal & (full | none)", "causal & (full | none)"),
        ("~(causal & full)", "~(causal & full)"),
    ],
)
def test_equal_signs_need_no_parentheses_to_mean_the_same(text: str, expected: str) -> None:
    assert write(parse(text), lambda one: one.name, grouped=False) == expected
    assert write(parse(text), lambda one: one.name) == text


def asked_kinds(tree: ast.AST) -> Iterator[ast.expr]:
    """What `isinstance` and `match` ask for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
            yield from node.args[1:]
        elif isinstance(node, ast.MatchClass):
            yield node.cls


def walks(sources: Iterable[tuple[str, str]]) -> list[str]:
    """Modules that ask by hand which kind of part of a mask they have."""
    return [
        name
        for name, text in sources
        if any(
            ast.unparse(node).removeprefix("masks.") in ("And", "Or", "Not")
            for asked in asked_kinds(ast.parse(text))
            for node in ast.walk(asked)
        )
    ]


def test_only_the_fold_takes_masks_apart() -> None:
    texts = {name: module.text for name, module in modules().items()}
    sources = [pair for pair in texts.items() if re.search(r"\b(And|Or|Not)\b", pair[1])]
    assert walks(sources) == ["mmspec.expressions.mask"]


@pytest.mark.parametrize(
    "text",
    [
        "isinstance(mask, And)",
        "isinstance(mask, masks.Or | masks.And)",
        "match mask:\n  case Not(operand=x): pass",
    ],
)
def test_a_walk_by_hand_is_seen(text: str) -> None:
    assert walks([("a", text), ("b", "isinstance(node.op, ast.Not)")]) == ["a"]
