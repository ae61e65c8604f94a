"""Layers of several kinds: what a variant, and a stream like another, take over."""

from __future__ import annotations

import pytest

from mmspec.diagnostics import MmspecError
from mmspec.schema.resolved import dump
from mmspec.schema.spec import Spec
from mmspec.schema.validate import validate
from mmspec.text import parse

BODY = """\
mmspec: 1
name: small
dims: {d: 12}
modalities:
  text: {kind: tokens, vocab: 7, length: {max: 9}}
streams:
  text:
    from: text
    width: d
    heads: 4
    kv_heads: 2
    norm: {kind: rms, eps: 1e-3, placement: post}
    feed_forward: {kind: experts, experts: 4, choose: 2}
    attention: causal
"""
END = """
heads:
  next: {from: text, kind: language-model}
"""


def spec(more: str) -> Spec:
    lines = "".join(f"    {line}\n" for line in more.splitlines())
    return validate(parse(BODY + lines + END, "small.yaml"))


def told(more: str) -> list[tuple[str, int, str]]:
    """What is wrong: code, line (15 is the first of `more`) and message."""
    with pytest.raises(MmspecError) as caught:
        spec(more)
    found = caught.value.diagnostics
    return [(one.code, one.span.line if one.span else 0, one.message) for one in found]


@pytest.mark.parametrize(
    ("depth", "layers", "expected"),
    [
        ("6", "[l*2, g]", "llgllg"),
        ("5", "[l*2, g]", "llgll"),
        ("5", "[g, l*rest, g]", "glllg"),
        ("d", "[l*d - 1, g]", "lllllllllllg"),
        ("2", "[l, g*rest]", "lg"),
    ],
)
def test_layers_come_again_and_again_and_rest_fills_the_depth(
    depth: str, layers: str, expected: str
) -> None:
    kinds = "variants: {l: {heads: 6, kv_heads: 3}, g: {heads: 2, kv_heads: 1}}"
    made = spec(f"depth: {depth}\n{kinds}\nlayers: {layers}").streams["text"]
    assert [made.layer(i).heads for i in range(made.depth)] == [
        {"l": 6, "g": 2}[each] for each in expected
    ]


def test_a_mapping_changes_what_it_gives_and_another_kind_starts_afresh() -> None:
    kinds = (
        "variants:\n"
        "  same: {}\n"
        "  eps: {norm: {eps: 1e-2}, feed_forward: {choose: 1}}\n"
        "  other: {norm: layer, feed_forward: {kind: glu}}\n"
        "  heads: {heads: 6, kv_heads: 6}\n"
        "layers: [same, eps, other, heads]"
    )
    same, eps, other, heads = (kind for _, kind in spec(f"depth: 4\n{kinds}").streams["text"].kinds)
    norms = [getattr(kind.norm, "eps", None) for kind in (same, eps, other)]
    assert norms == [1e-3, 1e-2, 1e-5]
    assert (same.norm.kind, getattr(same.norm, "placement", None)) == ("rms", "post")
    assert (eps.norm.kind, getattr(eps.norm, "placement", None)) == ("rms", "post")
    assert (other.norm.kind, getattr(other.norm, "placement", None)) == ("layer", "post")
    assert eps.feed_forward == same.feed_forward.model_copy(update={"choose": 1})
    assert other.feed_forward.kind == "glu"
    assert (same.head_width, heads.head_width) == (3, 2), "worked out last"


def test_what_is_resolved_reads_back_to_the_same() -> None:
    kinds = "variants: {l: {attention: full}, g: {norm: layer}}\nlayers: [l*rest, g]\nrepeat: 2"
    made = spec(f"depth: 3\n{kinds}")
    again = validate(parse(dump(made), "again.yaml"))
    assert again.model_dump() == made.model_dump() and dump(again) == dump(made)


def test_like_takes_settings_but_not_sources() -> None:
    text = BODY.replace("from: text", "from: [other]").replace(
        "  text:\n    from", "  top:\n    from"
    )
    text = text.replace(
        "streams:\n", "streams:\n  other: {like: top, from: text, depth: 2, heads: 2}\n"
    )
    text += "    depth: 3\n    halting: {kind: act, at_most: 2}\n" + END.replace("text", "top")
    made = validate(parse(text, "like.yaml")).streams
    assert made["other"].halting is None and made["other"].source != made["top"].source
    assert (made["other"].depth, made["other"].heads, made["other"].kv_heads) == (2, 2, 2)
    assert made["other"].feed_forward == made["top"].feed_forward


def test_variants_turn_each_in_their_way_and_route_alike() -> None:
    turned = BODY.replace("max: 9}}", "max: 9}, position: rotary}").replace("width: d", "width: 24")
    kinds = (
        "    depth: 3\n    rotary: {base: 100, partial: 0.5}\n"
        "    variants: {l: {heads: 2}, g: {rotary: {base: 7}}, n: {rotary: none}}\n"
        "    layers: [l, g, n]\n"
    )
    made = validate(parse(turned + kinds + END, "small.yaml")).streams["text"]
    ways = [kind.turning for _, kind in made.kinds]
    assert [way and (way.base, way.partial) for way in ways] == [(100, 0.5), (7, 0.5), None]
    routes = "variants: {l: {feed_forward: {experts: 3}}, g: {}}\nlayers: [l, g]"
    assert [one[0] for one in told(f"depth: 2\n{routes}")] == ["MM403"]


A = "variants: {l: {heads: 2}}\n"


@pytest.mark.parametrize(
    ("more", "code", "line", "words"),
    [
        ("variants: {l: {depth: 2}}\nlayers: [l]", "MM326", 16, "of the whole stream"),
        (f"{A}layers: [other]", "MM328", 17, "none of the stream's variants"),
        (f"{A}layers: [l*9]", "MM328", 17, "9 layers are named, and the stream has 3"),
        (f"{A}layers: [l*rest, l*rest]", "MM328", 17, "one variant only"),
        ("variants: {l: {}, g: {}}\nlayers: [l]", "MM328", 16, "no layer is of the variant `g`"),
        (A, "MM328", 16, "`layers` is missing"),
        ("layers: [l]", "MM328", 16, "the stream has none"),
        ("variants: {l: {haeds: 2}}\nlayers: [l]", "MM101", 16, "unknown key `haeds`"),
        ("variants: {l: {heads: 5, kv_heads: 5}}\nlayers: [l]", "MM105", 16, "not a multiple"),
        ("repeat: 2\nhalting: {kind: act, at_most: 2}", "MM105", 16, "says itself how often"),
        ("like: nowhere", "MM327", 16, "is no stream"),
        ("like: text", "MM327", 16, "circle"),
        (f"{A}layers: [*l]", "MM011", 17, ""),
    ],
)
def test_what_does_not_fit_is_told_at_its_line(more: str, code: str, line: int, words: str) -> None:
    found = told(f"depth: 3\n{more}")
    assert [one[:2] for one in found] == [(code, line)] and words in found[0][2]


def test_a_mistake_that_variants_inherit_is_told_once_where_it_stands() -> None:
    kinds = "variants: {l: {}, g: {heads: 2}}\nlayers: [l, g]\ndropout: much\nbaer: 1"
    found = told(f"depth: 3\n{kinds}")
    assert [one[:2] for one in found] == [("MM104", 18), ("MM101", 19)]
