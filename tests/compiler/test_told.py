"""Tokens that rows see before they are to predict them: no loss there, an error where all are."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings

import mmspec
from mmspec.compiler import driver
from mmspec.compiler.lower import objective
from mmspec.compiler.lower.carried import carried
from mmspec.compiler.lower.lower import lower
from mmspec.compiler.lower.objective import told_tokens
from mmspec.compiler.relations.limit import TooHardError
from mmspec.diagnostics import MmspecError
from mmspec.schema.modality import Tokens
from mmspec.train.feed import Inputs
from mmspec.train.scores import score
from mmspec.verify.flow import Origin, matrices
from mmspec.verify.reference.packing import separate
from mmspec.verify.reference.told import told
from mmspec.verify.strategies import load, specs

LM = """
mmspec: 1
name: told
modalities:
  text: {{kind: tokens, vocab: 256, length: {{max: {most}}}}}
streams:
  text: {{from: text, depth: {depth}, width: 8, heads: 2, attention: "{mask}"}}
heads:
  next: {{from: text, kind: language-model}}
"""


def alone(mask: str, depth: int = 1, most: int = 24) -> str:
    """A language model under a mask."""
    return LM.format(mask=mask, depth=depth, most=most)


SOME = {
    "causal": ("causal", 3, set[int]()),
    "prefix": ("causal | prefix(4)", 2, {1, 2, 3}),
    "one is left": ("causal | prefix(23)", 2, set(range(1, 23))),
    "blocks": ("causal | block(4)", 3, {k for k in range(24) if k % 4}),
    "a first layer sees one": ("causal | global(1)", 1, {1}),
    "two ahead, once": ("causal | dilated(step=2, reach=2)", 1, set[int]()),
    "two ahead, never back": ("window(before=0) | strided(2)", 9, set[int]()),
    "within the first documents": ("causal & document | prefix(3)", 2, {1, 2}),
    "drawn near the start": ("causal | random(1) & prefix(5)", 1, {1, 2, 3, 4}),
    "not before": ("causal & ~window(before=2)", 2, set[int]()),
    "nothing": ("none", 2, set[int]()),
    "no block is left out": ("causal | ~random(1)", 2, set[int]()),
}
"""Masks, layers and the tokens that carry no loss, counted by hand."""

ALL = {
    "everything": ("full", 1),
    "a prefix of all": ("causal | prefix(24)", 1),
    "the next": ("window(before=3, after=1)", 1),
    "by the first token": ("causal | global(1)", 2),
    "three ahead and back": ("causal | dilated(step=3, reach=3)", 2),
    "by turns": ("strided(2) | window(before=1)", 2),
    "documents": ("document", 1),
    "drawn blocks": ("causal | random(1)", 1),
    "the future": ("~causal", 1),
}


@pytest.mark.parametrize("name", SOME)
def test_what_rows_see_carries_no_loss(name: str) -> None:
    mask, depth, expected = SOME[name]
    spec = load(alone(mask, depth))
    (head,) = lower(spec).heads
    assert told_tokens(head.told, 24) == expected == told(spec, "text", "text", 24)


@pytest.mark.parametrize("name", ALL)
def test_where_no_position_is_left_it_is_an_error(name: str) -> None:
    spec = load(alone(*ALL[name]))
    with pytest.raises(MmspecError) as caught:
        lower(spec)
    (problem,) = caught.value.diagnostics
    assert problem.code == "MM324" and problem.where == "streams.text.attention"
    assert problem.span is not None and problem.span.line == 7
    assert "`attention: causal` in stream `text`" in problem.help
    assert told(spec, "text", "text", 24) == set(range(1, 24))


def test_deep_models_are_followed_and_what_cannot_be_is_refused() -> None:
    growing = "causal | window(before=0, after=1) & ~prefix(9)"
    (head,) = lower(load(alone(growing, 100))).heads
    assert told_tokens(head.told, 24) == set(range(9, 24))
    with pytest.raises(MmspecError, match="too much to follow"):
        lower(load(alone(growing, 10_000)))


ASIDE = """
mmspec: 1
name: aside
modalities:
  text: {kind: tokens, vocab: 7, length: {max: 24}}
  tags: {kind: tokens, vocab: 5, length: {max: 24}}
streams:
  one: {from: text, depth: 1, width: 8, heads: 2, attention: prefix(2)}
  other: {from: tags, depth: 3, width: 8, heads: 2, attention: "dilated(step=2, reach=4)"}
  last:
    from: FROM
    depth: 3
    width: 8
    heads: 2
    attention: ATTENTION
heads:
  next: {from: last, kind: language-model, modality: text}
"""
"""Tags never read text; what text reads of them can't be said in short."""


@pytest.mark.parametrize(
    ("source", "attention"),
    [
        (
            '{fusion: cross-attention, of: [one, other], attention: "~window(before=9, after=1)"}',
            "dilated(step=3, reach=3)",
        ),
        (
            "[one, other]",
            '{text -> text: "dilated(step=3, reach=3)", text -> tags: "~window(before=9, after=1)",'
            ' tags -> tags: "dilated(step=5, reach=10) | dilated(step=2, reach=4)"}',
        ),
    ],
)
def test_what_never_reads_the_tokens_is_not_followed(source: str, attention: str) -> None:
    spec = load(ASIDE.replace("FROM", source).replace("ATTENTION", attention))
    plan = lower(spec)
    assert told_tokens(plan.heads[0].told, 24) == {1} == told(spec, "last", "text", 24)
    if source[0] != "[":
        return
    back = ASIDE.replace("FROM", source).replace("ATTENTION", f"{attention[:-1]}, BACK}}")
    behind = load(back.replace("BACK", 'tags -> text: "window(before=19) & ~window(before=18)"'))
    assert told(behind, "last", "text", 24) == set(range(1, 24))
    with pytest.raises(MmspecError, match=r"tags sees text|tags sees tags|text sees tags"):
        lower(behind)


MANY_STEPS = """
mmspec: 1
name: steps
modalities:
  text: {kind: tokens, vocab: 7, length: {max: 24}}
  tags: {kind: tokens, vocab: 5, length: {max: 24}}
streams:
  first:
    from: {fusion: cross-attention, of: [tags, text], attention: {tags -> text: prefix(3)}}
    depth: 3
    width: 8
    heads: 2
    attention: shifted_window(size=5, shift=1) & strided(3)
  last:
    from: [text, first]
    depth: 2
    width: 8
    heads: 2
    attention:
      text -> text: causal
      text -> tags: dilated(step=4, reach=7)
      tags -> tags: shifted_window(size=4, shift=0) | dilated(step=5, reach=10)
heads: {next: {from: last, kind: language-model, modality: text, tied: false}}
"""


def test_what_is_too_much_from_the_head_is_followed_from_the_tokens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(objective, "_OPERATIONS", 1_000_000)
    spec = load(MANY_STEPS)
    (head,) = lower(spec).heads
    assert told_tokens(head.told, 24) == {1, 2} == told(spec, "last", "text", 24)


@pytest.mark.parametrize("name", [*SOME, *ALL])
def test_from_the_tokens_the_same_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = load(alone(*SOME[name][:2]) if name in SOME else alone(*ALL[name]))
    monkeypatch.setattr(objective, "_from_the_head", _too_hard)
    if name in SOME:
        (head,) = lower(spec).heads
        assert told_tokens(head.told, 24) == SOME[name][2]
        return
    with pytest.raises(MmspecError, match="through all layers each sees the next") as caught:
        lower(spec)
    assert [problem.where for problem in caught.value.diagnostics] == ["heads.next"]


def _too_hard(*_: object) -> str:
    raise TooHardError


def test_attention_that_is_left_out_is_full_and_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(alone("full").replace(', attention: "full"', ""))
    with pytest.raises(MmspecError, match="left out, attention is `full`"):
        mmspec.check(path)
    path.write_text(alone("full", most=1))
    mmspec.check(path)


SEVERAL = """
mmspec: 1
name: several
modalities:
  image: {kind: image, size: [4, 6], channels: 1, patch: 2, optional: true}
  text: {kind: tokens, vocab: 7, length: {max: 12}}
streams:
  text: {from: text, depth: 1, width: 8, heads: 2, attention: "TEXT"}
  other: {from: OTHER, depth: 2, width: 8, heads: 2}
  last: {from: FROM, depth: 1, width: 8, heads: 2, attention: ATTENTION}
heads:
  next: {from: last, kind: language-model, modality: text}
"""
CASES = {
    ("causal", "[text, image]", "{fusion: cross-attention, of: [text, other]}", "causal"): None,
    ("causal", "image", "{fusion: cross-attention, of: [text, other]}", "causal"): set(),
    ("causal | prefix(3)", "image", "{fusion: concat, of: [other, text]}", "causal"): {1, 2},
    ("causal", "image", "{fusion: gated, of: [text, other]}", "causal"): None,
    ("causal", "image", "{fusion: transformer, of: [other, text]}", "causal"): None,
    ("causal", "text", "{fusion: cross-attention, of: [text, other]}", "causal"): None,
    ("causal", "image", "[text, other]", "{text -> text: causal, image -> text: full}"): set(),
    ("causal", "image", "[text, other]", "{text -> image: full, image -> text: full}"): set(),
    ("full", "image", "{fusion: cross-attention, of: [text, other]}", "causal"): None,
    (
        *("causal", "{fusion: attention, of: [text], queries: 3}"),
        *("{fusion: cross-attention, of: [text, other]}", "causal"),
    ): None,
    (
        *("causal", "{fusion: attention, of: [text], queries: 3}"),
        *("{fusion: cross-attention, of: [text, other], attention: none}", "causal"),
    ): set(),
    (
        *("causal", "{fusion: attention, of: [text], queries: 2}", "[text, other]"),
        '{text -> text: causal, text -> other: "~global(2)"}',
    ): set(),
    (
        *("causal", "image", "[text, other]"),
        "[{heads: 1, mask: causal}, {heads: 1, mask: {text -> text: prefix(4)}}]",
    ): {1, 2, 3},
}
"""What text sees, what `other` and `last` read, what `last` sees; None: every row sees all."""


@pytest.mark.parametrize("case", CASES, ids=str)
def test_other_ways_to_a_later_token(case: tuple[str, str, str, str]) -> None:
    text = SEVERAL
    for word, value in zip(("TEXT", "OTHER", "FROM", "ATTENTION"), case, strict=True):
        text = text.replace(word, value)
    if "image" not in text.split("streams:")[1]:
        text = "\n".join(line for line in text.split("\n") if "image:" not in line)
    spec, expected = load(text), CASES[case]
    assert told(spec, "last", "text", 12) == (set(range(1, 12)) if expected is None else expected)
    if expected is not None:
        plan = lower(spec)
        assert told_tokens(plan.heads[0].told, 12) == expected
        sizes = {"text": 30, "image": 6} if "image" in spec.modalities else {"text": 30}
        found = matrices(plan, Origin("modality", "text"), sizes)["last", "text"].relation
        assert {k for k in range(1, 12) if np.asarray(found)[k - 1, k]} == expected
        return
    with pytest.raises(MmspecError) as caught:
        lower(spec)
    assert [problem.code for problem in caught.value.diagnostics] == ["MM324"]


POOLED = """
mmspec: 1
name: pooled
modalities:
  text: {kind: tokens, vocab: 7, length: {max: 12}}
  tags: {kind: tokens, vocab: 5, length: {max: 12}}
streams:
  other: {from: {fusion: gated, of: [text, tags]}, depth: 1, width: 8, heads: 2, attention: none}
  last:
    from: {fusion: cross-attention, of: [text, other], attention: {text -> tags: "MASK"}}
    depth: 1
    width: 8
    heads: 2
    attention: window(before=1)
heads:
  next: {from: last, kind: language-model, modality: text, tied: false}
"""


def test_only_rows_that_read_what_is_pooled_read_all_tokens() -> None:
    spec = load(POOLED.replace("MASK", "prefix(2) & window(before=0)"))
    (head,) = lower(spec).heads
    assert told_tokens(head.told, 12) == {1, 2, 3} == told(spec, "last", "text", 12)
    with pytest.raises(MmspecError, match="the gated fusion of stream `other` reads all tokens"):
        lower(load(POOLED.replace("MASK", "prefix(2)")))


TWICE = """
mmspec: 1
name: twice
modalities: {text: {kind: tokens, vocab: 7, length: {max: 300}}}
streams:
  one: {from: text, depth: 1, width: 8, heads: 2, attention: causal}
  other: {from: text, depth: 1, width: 8, heads: 2, attention: causal}
  last: {from: {fusion: cross-attention, of: [one, other], attention: "MASK"}, depth: 1,
    width: 8, heads: 2, attention: causal}
heads: {next: {from: last, kind: language-model, tied: false}}
"""


@pytest.mark.parametrize("backend", ["auto", "sdpa", "tiles"])
@pytest.mark.parametrize("mask", ["causal", "causal & document"])
def test_a_fusion_sees_of_other_rows_of_the_same_tokens_what_its_mask_says(
    mask: str, backend: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(TWICE.replace("MASK", mask))
    model = mmspec.compile(path, backend)().double().eval()
    ids = torch.randint(7, (1, 270), generator=torch.Generator().manual_seed(3))
    changed = torch.cat([ids[:, :-1], (ids[:, -1:] + 1) % 7], dim=1)
    one, other = (model(text=x).heads.next for x in (ids, changed))
    torch.testing.assert_close(one[:, :-1], other[:, :-1], rtol=0, atol=1e-12)
    assert (one - other).abs().max() > 1e-6


def test_pondering_reads_all_tokens_and_one_step_does_not() -> None:
    text = alone("causal").replace(
        "heads: 2,", "heads: 2, halting: {kind: ponder, at_most: 2, prior: 0.5},"
    )
    with pytest.raises(MmspecError, match="halting of stream `text` reads all tokens"):
        lower(load(text))
    lower(load(text.replace("at_most: 2", "at_most: 1")))


def test_the_loss_is_that_of_the_rows_that_are_left(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(alone("causal | prefix(4)", 2))
    model = mmspec.compile(path)().double().eval()
    ids = torch.randint(256, (2, 9), generator=torch.Generator().manual_seed(3))
    lengths = {"text": torch.tensor([9, 6])}
    out = model(text=ids, targets={"next": ids}, lengths=lengths)
    terms = [
        -out.heads.next[b, t].log_softmax(0)[ids[b, t + 1]]
        for b, t in [(0, t) for t in range(3, 8)] + [(1, 3), (1, 4)]
    ]
    torch.testing.assert_close(out.loss, torch.stack(terms).mean())
    short = model(text=ids[:, :3], targets={"next": ids[:, :3]})
    assert float(short.loss) == 0
    taken = score("next", load(path.read_text()))
    taken.add(out.heads.next.detach(), _inputs(ids, lengths))
    bits = float(torch.stack(terms).mean()) / math.log(2)
    assert taken.figures() == {"bits_per_byte": pytest.approx(bits)}


def _inputs(ids: torch.Tensor, lengths: dict[str, torch.Tensor]) -> Inputs:
    return Inputs({"text": ids}, lengths, {"next": ids})


def test_causal_masks_change_nothing_that_is_written(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(alone("causal & window(before=3)"))
    assert "next_place_t" not in driver.run(path, "emit").files["model.py"]


@settings(max_examples=40)
@given(specs())
def test_drawn_specs_mean_what_the_reference_says(text: str) -> None:
    spec = load(text)
    plan = lower(spec)
    assert set(plan.separate) == separate(spec)
    for head in plan.heads:
        if head.kind == "language-model" and spec.loss_of(head.name) != "masked":
            tokens = spec.modalities[head.segment or ""]
            assert isinstance(tokens, Tokens)
            most, at = tokens.length.max, (head.sources[0].name, head.segment or "")
            for begin in (0, 1, 5) if at[1] in plan.separate else (0,):
                assert told_tokens(head.told, most, begin) == told(spec, *at, most, begin)
            sizes = {name: 9 for name in spec.modalities}
            held = carried(plan.nodes, at[1], at[1] in plan.separate).values
            for (stream, name), found in matrices(plan, Origin("modality", at[1]), sizes).items():
                assert name in held[stream] or not np.asarray(found.relation).any()
