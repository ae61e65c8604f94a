"""What a layer does: entries of `block`, what they take over, and what does not fit."""

from __future__ import annotations

import pytest

from mmspec.diagnostics import MmspecError
from mmspec.schema.resolved import dump
from mmspec.schema.scale import Gate, LayerScale
from mmspec.schema.stream import Stream, Sublayer
from mmspec.schema.validate import validate
from mmspec.text import parse

BODY = """\
mmspec: 1
name: small
modalities:
  text: {kind: tokens, vocab: 7, length: {max: 9}}
streams:
  text:
    from: text
    width: 12
    depth: 2
    heads: 4
    kv_heads: 2
    norm: {kind: rms, eps: 1e-3}
    attention: causal
"""
END = """
heads:
  next: {from: text, kind: language-model}
"""


ONE = "block:\n  - "
TWO = ONE + "attention\n  - "
OWN = ("MM329", 15, "none of its own")
POST = ("MM329", 15, "none of them norms the sum")


def stream(more: str) -> Stream:
    lines = "".join(f"    {line}\n" for line in more.splitlines())
    spec = validate(parse(BODY + lines + END, "small.yaml"))
    again = validate(parse(dump(spec), "again.yaml"))
    assert dump(again) == dump(spec) and again.streams == spec.streams
    return spec.streams["text"]


def named(more: str) -> dict[str, Sublayer]:
    return {one.name: one for one in stream(more).sublayers}


def told(more: str) -> list[tuple[str, int, str]]:
    with pytest.raises(MmspecError) as caught:
        stream(more)
    found = caught.value.diagnostics
    return [
        (one.code, one.span.line if one.span else 0, f"{one.message}; {one.help}") for one in found
    ]


def test_what_a_layer_does_unless_told_is_attention_and_a_feed_forward() -> None:
    assert [*named("")] == ["attention", "feed_forward"]
    assert stream("block: [attention, feed_forward]").sublayers[0].of.attention.mask


def test_an_entry_takes_over_what_it_does_not_say() -> None:
    found = named(
        "block:\n"
        "  - {feed_forward: {width: 5}, scale: 0.5, name: first}\n"
        "  - {attention: full, heads: 6, kv_heads: 6, norm: {eps: 1e-2}}\n"
        "  - {parallel: [attention, {feed_forward: same, bias: false}], norm: shared}\n"
        "  - feed_forward"
    )
    assert [*found] == ["first", "attention", "attention_2", "feed_forward", "feed_forward_2"]
    assert [one.scale for one in found.values()] == [0.5, 1, 1, 1, 1]
    assert found["first"].of.feed_forward.width == 5
    assert found["feed_forward_2"].of.feed_forward.width is None
    heads = [(one.of.heads, one.of.kv_heads, one.of.head_width) for one in found.values()]
    assert heads[1:3] == [(6, 6, 2), (4, 2, 3)]
    norms = [one.of.norm.model_dump() for one in found.values()]
    assert [norm["eps"] for norm in norms] == [1e-3, 1e-2, 1e-3, 1e-3, 1e-3]
    assert [one.joins for one in found.values()] == [False, False, False, True, False]
    assert [one.shared for one in found.values()] == ["", "", "parallel", "parallel", ""]


def test_a_scale_is_a_number_or_learned() -> None:
    found = named(
        "block:\n"
        "  - {feed_forward: same, scale: 2}\n"
        "  - {attention: same, scale: learned}\n"
        "  - {parallel: [attention, {attention: same, scale: learned(0.1)}]}\n"
        "  - {feed_forward: same, scale: gate}"
    )
    scales = [one.scale for one in found.values()]
    learned = LayerScale(kind="learned"), LayerScale(kind="learned", start=0.1)
    assert scales == [2, learned[0], 1, learned[1], Gate(kind="gate")]


def test_an_entry_takes_over_from_its_variant_and_a_block_from_another_stream() -> None:
    made = stream(
        "block: [{attention: same, scale: 0.5}]\n"
        "variants: {l: {heads: 2}, g: {block: [feed_forward]}}\nlayers: [l, g]"
    )
    assert [one.at for one in made.every] == [
        ("variants", "l", "block", 0),
        ("variants", "g", "block", 0),
    ]
    assert [one.of.heads for one in made.every] == [2, 4]


@pytest.mark.parametrize(
    ("more", "code", "line", "words"),
    [
        ("block: []", "MM329", 14, "a list of what a layer does"),
        ("block: attention", "MM329", 14, "a list of what a layer does"),
        ("block: [atention]", "MM329", 14, "did you mean `attention`?"),
        ("block: [{atention: full, heads: 2}]", "MM329", 14, "did you mean `attention`?"),
        ("block: [{scale: 2}]", "MM329", 14, "one of: attention, cross, feed_forward, parallel"),
        ("block: [{attention: full, feed_forward: same}]", "MM329", 14, "names attention and"),
        ("block: [attention, 3]", "MM329", 14, "a word, or a mapping with one"),
        (TWO + "{attention: full, haeds: 2}", "MM101", 16, "did you mean `heads`?"),
        (ONE + "{feed_forward: same, heads: 2}", "MM101", 15, "unknown key `heads`"),
        (ONE + "{attention: full, heads: 5, kv_heads: 5}", "MM105", 15, "not a multiple"),
        (TWO + "{attention: cuasal}", "MM221", 16, "causal"),
        (ONE + "{attention: window(row=3)}", "MM222", 15, ""),
        (ONE + "{attention: {other -> text: full}}", "MM310", 15, "no segment `other`"),
        (ONE + "{attention: same, scale: 0}", "MM104", 15, "greater than 0"),
        (ONE + "{attention: same, scale: learned(0)}", "MM104", 15, "greater than 0"),
        (ONE + "{attention: same, scale: gates}", "MM202", 15, "`dims`"),
        (ONE + "{attention: same, scale: gate(1)}", "MM105", 15, "gate"),
        (ONE + "{attention: same, scale: {kind: gate, start: 1}}", "MM101", 15, "start"),
        (ONE + "{attention: same, depth: 3}", "MM101", 15, "unknown key `depth`"),
        (TWO + "{feed_forward: same, name: attention}", "MM329", 16, "are called"),
        (ONE + "{feed_forward: same, name: forward}", "MM105", 15, "rename it"),
        (ONE + "{parallel: [attention]}", "MM104", 15, "at least 2"),
        (ONE + "{parallel: [attention, {parallel: [same]}]}", "MM329", 15, "in parallel"),
        (ONE + "{parallel: [attention, feed_forward], norm: rms}", "MM103", 15, "shared"),
        (ONE + "{parallel: [attention, {attention: same, norm: {placement: post}}]}", *POST),
        (ONE + "{parallel: [{attention: same, norm: layer}, attention], norm: shared}", *OWN),
    ],
)
def test_what_does_not_fit_is_told_at_its_line(more: str, code: str, line: int, words: str) -> None:
    found = told(more)
    assert [one[:2] for one in found] == [(code, line)] and words in found[0][2]


def test_a_mistake_that_entries_inherit_is_told_once_where_it_stands() -> None:
    found = told(
        "feed_forward: {kind: mlp, widht: 3}\nblock: [feed_forward, attention, feed_forward]"
    )
    assert [one[:2] for one in found] == [("MM101", 14)]
