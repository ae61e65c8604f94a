"""Reduced twins: of the same structure, valid, small; laws that run models run them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmspec.compiler.lower.lower import lower
from mmspec.schema.validate import validate
from mmspec.text import parse, read
from mmspec.verify import costs
from mmspec.verify.laws import Law, Search
from mmspec.verify.outcome import Outcome, held
from mmspec.verify.subject import Subject
from mmspec.verify.twin import Twin, twin
from mmspec.verify.verify import check_law, report

SPECS = Path(__file__).parents[2] / "specs"
LARGE = """
mmspec: 1
name: large
dims: {d: 18432, n: 384}
modalities:
  text: {kind: tokens, vocab: 160000, length: {max: 1048576}, position: rotary}
  image: {kind: image, size: [1024, 768], patch: 16, position: learned, optional: true}
streams:
  eye:
    from: image
    depth: 48
    width: 5120
    heads: 64
    attention: [{heads: 32, mask: full}, {heads: 32, mask: window2d(radius=3)}]
  text:
    from: text
    depth: 120
    width: d
    heads: 128
    kv_heads: 8
    head_width: 160
    norm: rms
    block: [attention, {cross: eye, heads: 64}, feed_forward]
    variants:
      local: {attention: window(before=40) & causal, feed_forward: {kind: glu, width: 4*d}}
      wide:
        attention: causal
        feed_forward: {kind: experts, experts: n, choose: 8, width: 2048}
    layers: [local*6, wide*2]
heads:
  next: {from: text, kind: language-model, through: [linear(d), gelu]}
"""


def of(text: str) -> tuple[Twin, Twin, Twin]:
    """The twin of a spec, that which keeps the features of heads, and that which keeps lengths."""
    document = parse(text)
    spec = validate(document)
    every = [
        twin(spec, document),
        twin(spec, document, ("head",)),
        twin(spec, document, ("tokens",)),
    ]
    a, b, c = (one for one in every if one is not None)
    return a, b, c


def test_what_is_cut_and_what_is_kept() -> None:
    spec = of(LARGE)[0].spec
    assert (
        costs.parameters(lower(spec))
        < 5_000_000
        < 10**12
        < costs.parameters(lower(validate(parse(LARGE))))
    )
    text, eye = spec.streams["text"], spec.streams["eye"]
    names = [name for name, _ in text.kinds]
    assert [names[kind] for kind in text.order] == ["local", "local", "wide", "wide"]
    assert (text.depth, eye.depth) == (4, 2)
    assert text.heads // text.kv_heads == 128 // 8 and text.head_width == 8
    assert eye.head_width == 8 and eye.attention.groups is not None
    assert sum(group.heads for group in eye.attention.groups) == eye.heads == 4
    wide = text.variants["wide"].feed_forward
    assert wide.routed == (8, 16)
    assert (
        text.variants["local"].attention
        == validate(parse(LARGE)).streams["text"].variants["local"].attention
    )
    assert spec.modalities["text"].ids == 257 and spec.modalities["image"].grid == (7, 7)
    assert spec.modalities["text"].max_tokens == 131 > 2 * 64


def test_what_a_law_needs_is_kept() -> None:
    whole, (_, wide, long) = validate(parse(LARGE)), of(LARGE)
    assert wide.spec.streams["text"].head_width == 160
    assert long.spec.modalities["text"].max_tokens == whole.modalities["text"].max_tokens
    assert long.spec.modalities["image"].grid == whole.modalities["image"].grid


def test_lines_are_those_of_the_spec() -> None:
    small = of(LARGE)[0].document
    assert (
        small.span("streams", "text", "width").line
        == LARGE.split("    width: d")[0].count("\n") + 1
    )
    assert small.text == LARGE


@pytest.mark.parametrize("path", sorted((SPECS / "published").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_published_model_has_a_small_twin(path: Path) -> None:
    document = read(path)
    spec = validate(document)
    found = twin(spec, document)
    assert found is not None
    count = costs.parameters(lower(found.spec))
    assert count < 7_000_000 and count < costs.parameters(lower(spec)) / 20
    assert [*found.spec.streams] == [*spec.streams]
    for name, stream in spec.streams.items():
        cut = found.spec.streams[name]
        assert (cut.heads % cut.kv_heads, cut.head_width % 2) == (0, 0)
        assert {kind for kind, _ in cut.kinds} == {kind for kind, _ in stream.kinds}
        assert cut.source == stream.source.model_copy(update={"through": cut.source.through})


def test_laws_that_run_models_run_a_twin_of_what_is_large() -> None:
    seen: list[Subject] = []

    def notes(law: Law, subject: Subject, search: Search) -> Outcome:
        seen.append(subject)
        return held(law.id, law.statement, 1, 0)

    whole = Subject.of(SPECS / "gpt2.yaml")
    runs, counts = Law("P901", "r", "s", notes), Law("P902", "c", "s", notes, runs=False)
    wide = Law("P903", "w", "s", notes, keeps=("head",))
    found = report(whole, Search(1, 0), (runs, counts, wide), claims=False)
    assert [one is whole for one in seen] == [False, True, False]
    assert seen[0].parameters < 1_000_000 and seen[2].spec.streams["text"].head_width == 64
    assert [bool(law.cut) for law in found.laws] == [True, False, True]
    assert "vocab 50,257 -> 257" in found.laws[0].cut
    assert check_law(runs, whole, Search(1, 0), full=True).cut == "" and seen[-1] is whole
    small = Subject.of(SPECS / "two_tower.yaml")
    assert check_law(runs, small, Search(1, 0)).cut == "" and seen[-1] is small
