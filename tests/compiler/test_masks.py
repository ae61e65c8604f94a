"""The emitted mask functions against docs/masks.md, query by query, key by key."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from mmspec.compiler import ir
from mmspec.compiler.emit import masks as emitted
from mmspec.compiler.lower.attention import lower
from mmspec.compiler.relations.meaning.geometry import line
from mmspec.compiler.specialise.tidy import tidy
from mmspec.expressions import mask as masks
from mmspec.expressions.mask import And, Mask, Not, Or, Pattern
from mmspec.schema.attention import Attention

W = 4
"""The size at which most drawn patterns begin to hide something."""

LENGTHS = (0, 1, W - 1, W, W + 1, 2 * W, 2 * W + 3)


def sees(mask: Mask, q: int, k: int) -> bool:
    """Whether a query sees a key, by the formulas of the language."""
    if isinstance(mask, Not):
        return not sees(mask.operand, q, k)
    if isinstance(mask, And):
        return sees(mask.left, q, k) and sees(mask.right, q, k)
    if isinstance(mask, Or):
        return sees(mask.left, q, k) or sees(mask.right, q, k)
    a = {name: value for name, value in mask.arguments if isinstance(value, int)}
    table: dict[str, Callable[[], bool]] = {
        "full": lambda: True,
        "none": lambda: False,
        "causal": lambda: k <= q,
        "window": lambda: -a["after"] <= q - k <= a["before"],
        "dilated": lambda: abs(q - k) <= a["reach"] and (q - k) % a["step"] == 0,
        "block": lambda: q // a["size"] == k // a["size"],
        "global": lambda: q < a["count"] or k < a["count"],
        "prefix": lambda: k < a["length"],
        "strided": lambda: (q - k) % a["step"] == 0,
        "shifted_window": lambda: (q - a["shift"]) // a["size"] == (k - a["shift"]) // a["size"],
    }
    return table[mask.name]()


def pattern(name: str, **arguments: int) -> Pattern:
    """A pattern with its arguments."""
    return Pattern(name, tuple(arguments.items()))


small = st.integers(0, W + 1)
positive = st.integers(1, W + 1)
ACROSS = st.one_of(
    st.just(pattern("full")),
    st.just(pattern("none")),
    st.builds(lambda n: pattern("global", count=n), positive),
    st.builds(lambda n: pattern("prefix", length=n), positive),
)
"""Patterns that may hold between two modalities."""

WITHIN = st.one_of(
    ACROSS,
    st.just(pattern("causal")),
    st.builds(lambda b, a: pattern("window", before=b, after=a), small, small),
    st.builds(lambda s, r: pattern("dilated", step=s, reach=r), positive, st.integers(1, 2 * W)),
    st.builds(lambda n: pattern("block", size=n), positive),
    st.builds(lambda n: pattern("strided", step=n), positive),
    st.builds(lambda n, s: pattern("shifted_window", size=n, shift=s), positive, small),
)


def expressions(leaves: st.SearchStrategy[Pattern]) -> st.SearchStrategy[Mask]:
    """Masks of up to a dozen patterns."""

    def joined(inner: st.SearchStrategy[Mask]) -> st.SearchStrategy[Mask]:
        return st.one_of(
            st.builds(Not, inner), st.builds(And, inner, inner), st.builds(Or, inner, inner)
        )

    return st.recursive(leaves, joined, max_leaves=12)


def segment(name: str) -> ir.Segment:
    """A segment of up to many tokens."""
    return ir.Segment(
        name, ir.Tokens(name, 99), line(f"n_{name}"), name, rotary=False, optional=False
    )


def run(source: str, name: str, lengths: list[int]) -> list[list[bool]]:
    """What an emitted mask function returns."""
    found: dict[str, Callable[..., Tensor]] = {"torch": torch, "Tensor": Tensor}  # type: ignore[dict-item]
    exec(compile(source, "<mask>", "exec"), found)
    mask = found[name](*lengths, torch.device("cpu"))
    assert mask.dtype == torch.bool
    rows: list[list[bool]] = mask.tolist()
    return rows


def brute(
    pairs: emitted.Pairs, queries: Sequence[tuple[str, int]], keys: Sequence[tuple[str, int]]
) -> list[list[bool]]:
    """The same, by asking for every query and key; a pair that is not listed sees nothing."""
    shown = {(query, key): mask for query, key, mask in pairs}
    return [
        [
            (query, key) in shown and sees(shown[query, key], q, k)
            for key, count in keys
            for k in range(count)
        ]
        for query, length in queries
        for q in range(length)
    ]


def lowered(pairs: emitted.Pairs) -> emitted.Pairs:
    """As a Plan has them."""
    found = ((query, key, masks.simplify(mask)) for query, key, mask in pairs)
    return tuple(pair for pair in found if pair[2] != masks.NONE)


@settings(max_examples=200)
@given(expressions(WITHIN), st.sampled_from(LENGTHS))
def test_a_stream_of_one_segment(mask: Mask, length: int) -> None:
    pairs = (("text", "text", mask),)
    text = segment("text")
    source = tidy(emitted.function("text_mask", "stream text", lowered(pairs), ((text,), (text,))))
    expected = brute(pairs, [("text", length)], [("text", length)])
    assert run(source, "text_mask", [length]) == expected


@settings(max_examples=100)
@given(st.data())
def test_a_stream_of_several_segments(data: st.DataObject) -> None:
    names = ("image", "text", "audio")[: data.draw(st.integers(2, 3))]
    pairs = tuple(
        (query, key, data.draw(expressions(WITHIN if query == key else ACROSS)))
        for query, key in product(names, names)
        if data.draw(st.booleans())
    )
    lengths = [data.draw(st.sampled_from(LENGTHS)) for _ in names]
    segments = tuple(map(segment, names))
    source = tidy(
        emitted.function("joint_mask", "stream joint", lowered(pairs), (segments, segments))
    )
    sizes = list(zip(names, lengths, strict=True))
    assert emitted.parameters(segments, segments) == names
    assert run(source, "joint_mask", lengths) == brute(pairs, sizes, sizes)


@settings(max_examples=50)
@given(st.data())
def test_a_fusion_between_segments(data: st.DataObject) -> None:
    queries, keys = ("text", "video")[: data.draw(st.integers(1, 2))], ("audio", "text")
    pairs = tuple(
        (query, key, data.draw(expressions(ACROSS))) for query, key in product(queries, keys)
    )
    one, other = tuple(map(segment, queries)), tuple(map(segment, keys))
    names = emitted.parameters(one, other)
    assert names == tuple(dict.fromkeys([*queries, *keys]))
    lengths = {name: data.draw(st.sampled_from(LENGTHS)) for name in names}
    source = tidy(emitted.function("a_fusion_mask", "fusion a", lowered(pairs), (one, other)))
    expected = brute(
        pairs, [(name, lengths[name]) for name in queries], [(n, lengths[n]) for n in keys]
    )
    assert run(source, "a_fusion_mask", list(lengths.values())) == expected


@settings(max_examples=200)
@given(expressions(WITHIN))
def test_simplify_keeps_the_meaning(mask: Mask) -> None:
    simple = masks.simplify(mask)
    for q, k in product(range(2 * W + 1), repeat=2):
        assert sees(simple, q, k) == sees(mask, q, k)
    constants = [p for p in masks.patterns(simple) if p in (masks.FULL, masks.NONE)]
    assert not constants or isinstance(simple, Pattern)


@settings(max_examples=200)
@given(expressions(st.sampled_from([pattern("full"), pattern("none"), pattern("causal")])))
def test_what_is_called_full_or_causal_is(mask: Mask) -> None:
    pairs, text = (("text", "text", mask),), (segment("text"),)
    rows = brute(pairs, [("text", 5)], [("text", 5)])
    site = attending(lowered(pairs), text)
    if emitted.is_full(site):
        assert all(map(all, rows))
    if emitted.is_causal(site):
        assert rows == [[k <= q for k in range(5)] for q in range(5)]
    if mask in (pattern("full"), pattern("causal")):
        assert emitted.is_full(site) is (mask == pattern("full"))
        assert emitted.is_causal(site) is (mask == pattern("causal"))


def attending(pairs: ir.Pairs, segments: tuple[ir.Segment, ...]) -> ir.Attention:
    """Segments that read one another by two heads."""
    groups = (ir.Group(2, pairs),)
    sizes = 2, 2, 4, None, True
    return ir.Attention("text", "stream text", segments, segments, True, groups, *sizes)


@given(st.data())
def test_full_means_every_pair(data: st.DataObject) -> None:
    names = ("image", "text")
    choices = st.sampled_from([pattern("full"), Not(pattern("none")), pattern("none"), None])
    drawn = [(q, k, data.draw(choices)) for q, k in product(names, names)]
    pairs = tuple((q, k, mask) for q, k, mask in drawn if mask is not None)
    segments = tuple(map(segment, names))
    sizes = [("image", 3), ("text", 2)]
    expected = all(map(all, brute(pairs, sizes, sizes)))
    site = attending(lowered(pairs), segments)
    assert emitted.is_full(site) is expected
    assert not emitted.is_causal(site)


PREFIXES = And(pattern("prefix", length=123), pattern("prefix", length=1234))


@example(And(And(PREFIXES, PREFIXES), And(PREFIXES, And(PREFIXES, PREFIXES))))
@settings(max_examples=100)
@given(expressions(WITHIN))
def test_long_masks_are_written_in_short_lines(mask: Mask) -> None:
    text, shown = segment("text"), masks.simplify(mask)
    source = tidy(
        emitted.function("m", "stream text", (("text", "text", shown),), ((text,), (text,)))
    )
    assert max(map(len, source.splitlines())) <= 100
    (function,) = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef)
    documented = " ".join((ast.get_docstring(function) or "").split())
    assert f"text sees text: {masks.unparse(shown)}" in documented


@pytest.mark.parametrize("length", [W - 1, W, W + 1, 2 * W])
@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("window(before=3)", lambda t, n: min(t + 1, W)),
        ("window(before=3, after=3)", lambda t, n: min(t, 3) + 1 + min(n - 1 - t, 3)),
        ("block(4)", lambda t, n: min(n - t // W * W, W)),
        ("causal & block(4)", lambda t, n: t % W + 1),
        ("dilated(step=4, reach=4)", lambda t, n: 1 + (t >= W) + (t + W < n)),
        ("strided(4)", lambda t, n: (n - t % W + W - 1) // W),
        ("prefix(4)", lambda t, n: min(n, W)),
        (
            "shifted_window(size=4, shift=2)",
            lambda t, n: 2 if t < 2 else min(n - (t - 2) // W * W - 2, W),
        ),
    ],
)
def test_how_many_keys_each_query_sees(
    text: str, counts: Callable[[int, int], int], length: int
) -> None:
    """Counted by hand at the sizes where an off-by-one shows."""
    pairs, one = (("text", "text", masks.parse(text)),), (segment("text"),)
    rows = run(emitted.function("m", "stream text", pairs, (one, one)), "m", [length])
    assert [sum(row) for row in rows] == [counts(t, length) for t in range(length)]


NAMES = ("text", "note")


@pytest.mark.parametrize(
    ("count", "attention", "expected"),
    [
        (1, "causal & full", ["text text causal"]),
        (1, "~(causal | full)", []),
        (1, "random(3, seed=2) & block(4) | ~full", ["text text block(size=4)"]),
        (
            2,
            {"text -> text": "none | causal", "text -> note": "causal & none"},
            ["text text causal"],
        ),
        (2, "causal", ["text text causal", "note text full", "note note causal"]),
        (2, "causal | ~full", [f"{q} {k} causal" for q in NAMES for k in NAMES]),
    ],
)
def test_a_plan_has_simplified_masks_of_pairs_that_see(
    count: int, attention: Any, expected: list[str]
) -> None:
    """Of 99 tokens, which are two blocks of 64. `causal` as it stands is the order of segments."""
    segments = tuple(map(segment, NAMES[:count]))
    (group,) = lower(Attention.model_validate(attention), 4, segments, segments)
    assert [f"{q} {k} {masks.unparse(mask)}" for q, k, mask in group.masks] == expected


def test_groups_whose_masks_are_the_same_when_simplified_are_one() -> None:
    said = ({"heads": 1, "mask": "causal"}, {"heads": 3, "mask": "causal & (full | block(2))"})
    one = (segment("text"),)
    (group,) = lower(Attention.model_validate(said), 4, one, one)
    assert (group.heads, group.masks) == (4, (("text", "text", masks.parse("causal")),))
