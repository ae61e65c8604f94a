"""Who may influence whom, against the reference: a token is changed, and what moves is compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from large import is_deep
from torch import Tensor

from mmspec.compiler import ir
from mmspec.compiler.lower.lower import lower
from mmspec.compiler.relations.meaning.geometry import line
from mmspec.expressions import mask as masks
from mmspec.schema import modality as modalities
from mmspec.schema.spec import Spec
from mmspec.verify import flow
from mmspec.verify.flow.symbolic import Classes
from mmspec.verify.flow.walk import walk
from mmspec.verify.lab.lab import without_dropout
from mmspec.verify.reference import run, visible
from mmspec.verify.strategies import load, specs, weights

HEAD = """
mmspec: 1
name: small
modalities:
  text: {kind: tokens, vocab: 9, length: {max: 12}}
  image: {kind: image, size: [4, 4], channels: 1, patch: 2, optional: true}
streams:
"""
TAIL = """
heads:
  y: {from: s, kind: classifier, classes: 3}
"""


def plan_of(streams: str) -> ir.Plan:
    return lower(load(HEAD + streams + TAIL))


def one(attention: str, more: str = "", source: str = "[text, image]", depth: int = 1) -> ir.Plan:
    keys = f"depth: {depth}, width: 8, heads: 2, attention: {attention}"
    return plan_of(f"  s: {{from: {source}, {keys}{more}}}")


LINE = line("n_text")
FEW = st.integers(0, 5)
SIZE = st.integers(1, 6)
PATTERNS = st.one_of(
    st.sampled_from(["full", "none", "causal"]),
    st.builds("window(before={}, after={})".format, FEW, FEW),
    st.builds("dilated(step={}, reach={})".format, SIZE, st.integers(1, 9)),
    st.builds("shifted_window(size={}, shift={})".format, SIZE, FEW),
    st.builds("{}({})".format, st.sampled_from(["block", "global", "strided", "prefix"]), SIZE),
)


def joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    both = st.builds("({}) {} ({})".format, inner, st.sampled_from("&|"), inner)
    return both | st.builds("~({})".format, inner)


WITHIN = st.recursive(PATTERNS, joined, max_leaves=4)


@settings(max_examples=150, deadline=None)
@given(WITHIN, st.booleans())
def test_the_relation_of_a_mask_is_that_of_a_long_table(text: str, within: bool) -> None:
    mask = masks.parse(text)
    size = 45
    pairs = [(q, k) for q in range(size) for k in range(size) if visible(mask, q, k)]
    expected = flow.Relation.NONE
    if pairs:
        past = within and all(k <= q for q, k in pairs)
        expected = flow.Relation.PAST if past else flow.Relation.ANY
    assert flow.relation(mask, LINE, LINE if within else line("n_other")) is expected


def test_a_leak_that_only_long_inputs_show_is_found() -> None:
    late = masks.parse("causal | (window(before=0, after=9) & ~global(700))")
    assert flow.relation(late, LINE, LINE) is flow.Relation.ANY
    early = masks.parse("causal | (block(3) & none)")
    assert flow.relation(early, LINE, LINE) is flow.Relation.PAST


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("causal & (block(61) | block(67) | block(71))", flow.Relation.PAST),
        ("window(before=9000)", flow.Relation.PAST),
        ("window(before=9000) & none", flow.Relation.NONE),
        ("window(before=9000, after=1)", flow.Relation.ANY),
        ("~(window(before=9000) | ~causal)", flow.Relation.PAST),
        ("strided(6) & ~strided(3)", flow.Relation.NONE),
        ("random(blocks=2) & causal", flow.Relation.PAST),
        ("causal & ~random(blocks=2)", flow.Relation.PAST),
        ("random(blocks=2) & document & none", flow.Relation.NONE),
        ("~document", flow.Relation.ANY),
        ("document & window(before=4)", flow.Relation.PAST),
    ],
)
def test_a_mask_is_decided_for_every_length(text: str, expected: flow.Relation) -> None:
    """Of tables nothing is known but that they show some of what there is."""
    mask = masks.parse(text)
    assert flow.relation(mask, LINE, LINE) is expected
    across = flow.Relation.NONE if expected is flow.Relation.NONE else flow.Relation.ANY
    assert flow.relation(mask, LINE, line("n_other")) is across


def test_a_mask_too_hard_to_decide_is_bounded_by_its_patterns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mmspec.verify.flow.masks._OPERATIONS", 10)
    cases = {
        "causal & strided(1009)": flow.Relation.PAST,
        "causal | strided(1009)": flow.Relation.ANY,
        "none & strided(1009)": flow.Relation.NONE,
        "~causal & ~strided(1009)": flow.Relation.ANY,
    }
    for text, expected in cases.items():
        assert flow.relation(masks.parse(text), line("n_long"), line("n_long")) is expected


@pytest.mark.parametrize(
    "attention",
    [
        "causal",
        "causal & window(before=2, after=5)",
        "~(~causal | block(3))",
        "window(before=4)",
        "{text -> text: causal, text -> image: full, image -> image: full}",
    ],
)
def test_text_that_sees_what_is_before_is_causal(attention: str) -> None:
    source = "[image, text]" if ">" in attention else "text"
    quoted = attention if ">" in attention else f'"{attention}"'
    streams = f"  s: {{from: {source}, depth: 3, width: 8, heads: 2, attention: {quoted}}}"
    text = HEAD + streams + TAIL
    text = text if "image" in streams else _without_image(text)
    assert flow.looks_ahead(lower(load(text)), "text") is None


def _without_image(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("  image"))


def test_a_round_trip_through_another_modality_leaks_the_future() -> None:
    plan = one("{text -> text: causal, text -> image: full, image -> text: full}", depth=2)
    path = flow.looks_ahead(plan, "text")
    assert path is not None
    assert path.steps == (
        "in stream `s`, image sees text (`full`)",
        "in stream `s`, text sees image (`full`)",
    )
    assert path.lengths == {"text": 2, "image": 4}
    assert path.pairs[0] == (0, 1)


def test_one_block_is_too_short_for_the_round_trip() -> None:
    plan = one("{text -> text: causal, text -> image: full, image -> text: full}", depth=1)
    (answer,) = (flow.ask(plan, question) for question in flow.causality(plan, "text"))
    assert answer.never == "every length"


@pytest.mark.parametrize("at_most", [1, 2])
def test_pondering_pools_the_future_once_there_are_two_steps(at_most: int) -> None:
    halting = f", halting: {{kind: ponder, at_most: {at_most}, prior: 0.5}}"
    plan = one("{text -> text: causal}", halting)
    path = flow.looks_ahead(plan, "text")
    assert (path is None) == (at_most == 1)
    assert path is None or path.steps == ("the halting of stream `s` pools text",)


def test_gates_pool_the_future_where_there_are_two_sources() -> None:
    plan = one("{text -> text: causal}", source="{fusion: gated, of: [text, image]}")
    path = flow.looks_ahead(plan, "text")
    assert path is not None
    assert path.lengths == {"text": 2, "image": 4}
    assert "gates" in path.steps[0]


def test_exits_tell_the_future_where_there_are_two() -> None:
    exits = ", halting: {kind: exit, head: y, threshold: 0.5}"
    attention = "{text -> text: causal}"
    assert flow.looks_ahead(one(attention, exits, depth=1), "text") is None
    path = flow.looks_ahead(one(attention, exits, depth=2), "text")
    assert path is not None
    assert "head `y` decides from text" in path.steps[0]


def test_the_shortest_lengths_are_those_of_the_mask() -> None:
    plan = one('{text -> text: "causal | (window(after=1) & ~global(5))"}')
    path = flow.looks_ahead(plan, "text")
    assert path is not None
    assert path.lengths == {"text": 7, "image": 0}
    assert path.pairs == ((5, 6),)


def test_a_round_trip_whose_attentiondo_not_meet_is_causal() -> None:
    attention = '{text -> text: causal, text -> image: "~global(1)", image -> text: global(1)}'
    question = flow.causality(one(attention, depth=3), "text")[0]
    assert flow.ask(one(attention, depth=3), question).never == "every length"
    leaky = one(attention.replace("~global(1)", "full"), depth=3)
    assert flow.ask(leaky, question).path is not None


def test_attentionthat_never_meet_carry_nothing() -> None:
    streams = """
  both:
    {from: [text, image], depth: 1, width: 8, heads: 2, attention: {image -> text: "~global(12)"}}
  s: {from: both, depth: 1, width: 8, heads: 2, attention: {image -> image: full}}
"""
    plan = plan_of(streams)
    question = flow.Question(flow.Origin("modality", "text"), "s", "image", False)
    assert flow.ask(plan, question).never == "every length"


# against the reference


def sizes(plan: ir.Plan, most: int) -> dict[str, int]:
    """Tokens by modality, of variable ones at most so many; of a video at least a step."""
    return {
        known.name: min(known.tokens.max, max(most // known.area, 1) * known.area)
        if known.tokens.symbol
        else known.tokens.max
        for known in plan.inputs
    }


def sample(spec: Spec, plan: ir.Plan, lengths: dict[str, int], seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, Tensor] = {}
    for wanted in plan.inputs:
        modality = spec.modalities[wanted.name]
        size = lengths[wanted.name]
        if isinstance(modality, modalities.Tokens):
            found[wanted.name] = torch.randint(modality.vocab, (1, size), generator=generator)
            continue
        places = {"B": 1, "F": size // wanted.area * wanted.raw.step}
        shape = [places[n] if isinstance(n, str) else n for n in wanted.shape]
        values = torch.randn(shape, generator=generator, dtype=torch.float64)
        if isinstance(modality, modalities.Table):
            values = torch.zeros_like(values)
        found[wanted.name] = values
    return found


def changed(spec: Spec, values: Tensor, name: str, token: int) -> Tensor | None:
    """The input with one token changed; None where it has but one value."""
    modality, values = spec.modalities[name], values.clone()
    if isinstance(modality, modalities.Tokens):
        values[0, token] = (values[0, token] + 1) % modality.vocab
        return values if modality.vocab > 1 else None
    if isinstance(modality, modalities.Table):
        column: Any = list(modality.columns.values())[token]
        values[0, token] = 1
        return None if getattr(column, "categories", 2) == 1 else values
    if isinstance(modality, modalities.Image):
        p = modality.side
        row, place = divmod(token, modality.size[1] // p)
        values[:, :, row * p : (row + 1) * p, place * p : (place + 1) * p] += 1
        return values
    if isinstance(modality, modalities.Video):
        p, (step, at) = modality.side, divmod(token, modality.area)
        row, place = divmod(at, modality.size[1] // p)
        frames = values[0, step * modality.tubelet : (step + 1) * modality.tubelet]
        frames[:, :, row * p : (row + 1) * p, place * p : (place + 1) * p] += 1
        return values
    values[0, token * modality.step : (token + 1) * modality.step] += 1
    return values


def packed(plan: ir.Plan) -> bool:
    """Whether a mask asks for documents, which may show anything: here a sample is one."""
    groups = [group for site in plan.sites() for group in site.groups]
    shown = [mask for group in groups for *_, mask in group.masks]
    return any(pattern.name == "document" for mask in shown for pattern in masks.patterns(mask))


def has_stem(spec: Spec, name: str) -> bool:
    """Whether a modality has a stem, whose reach is said to be what it is at most."""
    return bool(getattr(spec.modalities[name], "stem", None))


def compare(spec: Spec, plan: ir.Plan, change: tuple[str, int], seed: int, most: int = 4) -> None:
    """Change one token of a modality: what moves in the reference is what is connected."""
    name, token = change
    lengths = sizes(plan, most)
    inputs = sample(spec, plan, lengths, seed)
    other = changed(spec, inputs[name], name, token)
    if other is None:
        return
    w, dry = weights(spec, seed), without_dropout(spec)
    before = run(dry, w, inputs, mode="train").trace
    after = run(dry, w, {**inputs, name: other}, mode="train").trace
    found = flow.matrices(plan, flow.Origin("modality", name), lengths)
    for stack in plan.stacks():
        place = f"{stack.stream}.tokens"
        difference = (after[place][0] - before[place][0]).abs()
        rows = np.concatenate([found[stack.stream, s.name].relation for s in stack.out.segments])
        moved = (difference.amax(1) > 1e-13).numpy()
        connected = rows[:, token]
        assert not (moved & ~connected).any(), (stack.stream, moved, connected)
        if not (stack.halting and stack.halting.every) and not packed(plan):
            assert (moved == connected).all(), (stack.stream, moved, connected)


@settings(max_examples=30, deadline=None)
@given(specs(), st.integers(0, 99), st.data())
def test_what_moves_in_the_reference_is_what_is_connected(
    text: str, seed: int, data: st.DataObject
) -> None:
    spec = load(text)
    plan = lower(spec)
    lengths = sizes(plan, 4)
    assume(sum(lengths.values()) <= 16)
    name = data.draw(st.sampled_from(sorted(lengths)))
    token = data.draw(st.integers(0, lengths[name] - 1))
    compare(spec, plan, (name, token), seed)


CASES = {
    "gated": "from: {fusion: gated, of: [text, image]}, attention: none",
    "latents": "from: {fusion: attention, of: [text, image], queries: 2}, attention: none",
    "cross": "from: {fusion: cross-attention, of: [text, image]}, attention: none",
    "cross masked": "from: {fusion: cross-attention, of: [text, image], "
    "attention: {text -> image: ~global(2)}}, attention: none",
    "transformer": "from: {fusion: transformer, of: [text, image]}, attention: none",
    "ponder": "from: [text, image], attention: none, "
    "halting: {kind: ponder, at_most: 2, prior: 0.5}",
    "ponder once": "from: [text, image], attention: none, "
    "halting: {kind: ponder, at_most: 1, prior: 0.5}",
    "steps": 'from: [text, image], attention: {text -> text: "window(before=1)"}',
    "experts": "from: [text, image], attention: causal, "
    "feed_forward: {kind: experts, experts: 3, choose: 2, balance: 0.1}",
    "by modality": "from: [image, text], attention: causal, feed_forward: {kind: by-modality}",
}


@pytest.mark.parametrize("change", [("text", 0), ("text", 2), ("image", 3)], ids=str)
@pytest.mark.parametrize("kind", CASES)
def test_each_kind_connects_what_moves(kind: str, change: tuple[str, int]) -> None:
    spec = load(f"{HEAD}  s: {{{CASES[kind]}, depth: 2, width: 8, heads: 2}}{TAIL}")
    compare(spec, lower(spec), change, seed=1)


@settings(max_examples=200 if is_deep() else 40, deadline=None)
@given(specs(), st.data())
def test_what_classes_exclude_no_matrix_has(text: str, data: st.DataObject) -> None:
    plan = lower(load(text))
    origin = flow.Origin("modality", data.draw(st.sampled_from([i.name for i in plan.inputs])))
    classes = walk(plan, origin, Classes(origin))
    exact = flow.matrices(plan, origin, sizes(plan, 9))
    for (value, segment), reach in classes.items():
        relation = exact[value, segment].relation
        if reach.relation is flow.Relation.NONE:
            assert not relation.any()
        if reach.relation is flow.Relation.PAST:
            assert not np.triu(relation, 1).any()
