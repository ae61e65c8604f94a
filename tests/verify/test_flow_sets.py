"""Influence by sets of integers: equal to matrices at given lengths, and what is proved by it."""

from __future__ import annotations

from itertools import product
from typing import Any

import islpy as isl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from large import is_deep

from mmspec.compiler import ir
from mmspec.compiler.lower.lower import lower
from mmspec.compiler.relations.limit import TooHardError, limited
from mmspec.compiler.relations.meaning.definitions import is_closed
from mmspec.compiler.relations.meaning.geometry import Geometry
from mmspec.expressions.mask import Mask, parse
from mmspec.verify import flow
from mmspec.verify.claims import check_claims
from mmspec.verify.flow import masks, questions, sets
from mmspec.verify.flow.sets import Sets, prove
from mmspec.verify.flow.walk import walk
from mmspec.verify.strategies import load, specs
from mmspec.verify.subject import Subject

HEAD = """
mmspec: 1
name: small
modalities:
  text: {kind: tokens, vocab: 9, length: {max: 3000}}
  note: {kind: tokens, vocab: 9, length: {max: 40}}
  image: {kind: image, size: [16, 20], channels: 1, patch: 4, optional: true}
  audio: {kind: audio, features: 2, rate: 25 Hz, length: {max: 30}}
  motion: {kind: series, features: 2, rate: 10 Hz, length: {max: 12}}
streams:
"""
TAIL = "\nheads:\n  y: {from: s, kind: classifier, classes: 3}\n"


def plan_of(streams: str) -> ir.Plan:
    """Modalities that no stream reads are left out."""
    kept = [
        row
        for row in HEAD.splitlines()
        if not row.startswith("  ") or row.split(":")[0].strip() in streams
    ]
    return lower(load("\n".join(kept) + "\n" + streams + TAIL))


def one(source: str, attention: str, depth: int = 3, more: str = "") -> ir.Plan:
    keys = f"depth: {depth}, width: 8, heads: 2, attention: {attention}{more}"
    return plan_of(f"  s: {{from: {source}, {keys}}}")


def points(found: isl.Map, lengths: dict[str, int], ends: tuple[Geometry, Geometry | None]) -> Any:
    """The pairs of a relation at given lengths, as a table."""
    sizes = {f"n_{name}": size for name, size in lengths.items()}
    names = ", ".join(sizes)
    facts = " and ".join(f"{name} = {size}" for name, size in sizes.items())
    here = found.wrap().intersect_params(isl.Set(f"[{names}] -> {{ : {facts} }}"))
    strides = [geometry.strides() or () if geometry else () for geometry in ends]
    pairs: set[tuple[int, int]] = set()

    def collect(point: isl.Point) -> None:
        count = sum(map(len, strides))
        at = [point.get_coordinate_val(isl.dim_type.set, n).to_python() for n in range(count)]
        rows = len(strides[0])
        index = [
            sum(a * b for a, b in zip(part, steps, strict=True))
            for part, steps in zip((at[:rows], at[rows:]), strides, strict=True)
        ]
        pairs.add((int(index[0]), int(index[1])))

    here.foreach_point(collect)
    return pairs


def compare(plan: ir.Plan, origin: flow.Origin, steps: int) -> None:
    """Sets at given lengths are what the matrices have; with tables they may be more."""
    embeds = [node for node in plan.nodes if isinstance(node, ir.Embed)]
    geometry = next(
        (e.own.geometry for e in embeds if str(origin) == f"modality {e.modality}"),
        None,
    )
    lengths = {x.name: min(x.tokens.max, steps * x.area) for x in plan.inputs if x.tokens.symbol}
    fixed = {x.name: x.tokens.max for x in plan.inputs if not x.tokens.symbol}
    try:
        with limited(400_000):
            found = walk(plan, origin, Sets(origin, geometry))
    except TooHardError:
        return
    areas = {x.name: x.area for x in plan.inputs}
    counts = {name: size // areas[name] for name, size in lengths.items()}
    exact = flow.matrices(plan, origin, lengths | fixed)
    for node in plan.nodes:
        for segment in node.out.segments:
            key = node.out.name, segment.name
            table = exact[key].relation
            expected = {(int(q), int(k)) for q, k in zip(*np.nonzero(table), strict=True)}
            shown = points(found[key].relation, counts, (segment.geometry, geometry))
            assert expected <= shown, key
            if not tables(plan):
                assert expected == shown, key


def tables(plan: ir.Plan) -> bool:
    groups = [group for site in plan.sites() for group in site.groups]
    return any(not is_closed(mask) for group in groups for *_, mask in group.masks)


@settings(max_examples=100 if is_deep() else 30, deadline=None)
@given(specs(), st.data())
def test_sets_are_what_matrices_have(text: str, data: st.DataObject) -> None:
    plan = lower(load(text))
    kinds = [flow.Origin("modality", given.name) for given in plan.inputs]
    kinds += [flow.Origin("stream", stack.stream) for stack in plan.stacks()]
    compare(plan, data.draw(st.sampled_from(kinds)), data.draw(st.integers(1, 7)))


NEW = {
    "window2d": one("image", "window2d(1) & ~axial(row)", 2),
    "axial": one("image", "axial(column) | shifted_window(size=2, shift=1)", 2),
    "texts": one("[text, note]", "{text -> note: window(before=1), note -> text: strided(3)}"),
    "times": one(
        "[audio, motion]", "{audio -> motion: within(90 ms), motion -> audio: within(1 s)}"
    ),
    "heads": one("text", "[{heads: 1, mask: window(before=2)}, {heads: 1, mask: strided(4)}]"),
    "pools": one("{fusion: gated, of: [text, image]}", "{text -> text: causal}"),
    "ponder": one(
        "text", "window(before=1)", 1, ", halting: {kind: ponder, at_most: 2, prior: 0.5}"
    ),
    "random": one("text", "random(blocks=1) & causal"),
    "window": one("text", "window(before=1)", 2),
}


@pytest.mark.parametrize("name", NEW)
def test_sets_of_each_kind_of_mask_are_what_matrices_have(name: str) -> None:
    for known, steps in product(NEW[name].inputs, (1, 9)):
        compare(NEW[name], flow.Origin("modality", known.name), steps)


def test_a_wrong_composition_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: masks turned round, taken for full, or left out."""
    right = Sets.see

    def reversed_(self: Sets, q: ir.Segment, k: ir.Segment, mask: Mask, reach: isl.Map) -> isl.Map:
        pairs = masks.pairs(mask, q.geometry, k.geometry).visible.reverse()
        return pairs.apply_range(reach)

    def full(self: Sets, q: ir.Segment, k: ir.Segment, mask: Mask, reach: isl.Map) -> isl.Map:
        return right(self, q, k, parse("full"), reach)

    def nothing(self: Sets, q: ir.Segment, k: ir.Segment, mask: Mask, reach: isl.Map) -> isl.Map:
        return right(self, q, k, parse("none"), reach)

    for wrong in (reversed_, full, nothing):
        monkeypatch.setattr(Sets, "see", wrong)
        with pytest.raises(AssertionError):
            test_sets_of_each_kind_of_mask_are_what_matrices_have("window")


CAUSAL = {
    "causal & window": ("text", "causal & window(before=3, after=9)"),
    "block and stride": ("text", '"causal & block(64) | strided(7) & window(before=700)"'),
    "prefix": ("text", '"prefix(9) & causal"'),
    "shifted": ("text", '"shifted_window(size=8, shift=3) & ~window(after=8)"'),
    "random": ("text", '"causal & (random(blocks=3) | window(before=64))"'),
    "heads": ("text", "[{heads: 1, mask: causal}, {heads: 1, mask: window(before=99)}]"),
    "there and back": (
        "[text, note]",
        "{text -> text: causal, text -> note: window(before=5), note -> text: causal}",
    ),
    "times": (
        "[audio, motion]",
        "{audio -> audio: causal, audio -> motion: within(0 ms), motion -> audio: within(0 ms)}",
    ),
    "rows": ("image", '"axial(column) & causal"'),
}


@pytest.mark.parametrize("name", CAUSAL)
def test_causality_is_proved_for_every_length(name: str) -> None:
    source, attention = CAUSAL[name]
    plan = one(source, attention)
    modality = source.strip("[]").split(",")[0]
    (question, *_) = flow.causality(plan, modality)
    assert flow.ask(plan, question) == flow.Answer(question, "every length")


LEAKS = {
    "prefix": ("text", '"causal | prefix(3)"', {"text": 2}),
    "late": ("text", '"causal | (window(after=1) & ~global(130))"', {"text": 132}),
    "shifted": ("text", '"causal | shifted_window(size=40, shift=2)"', {"text": 2}),
    "there and back": (
        "[text, note]",
        "{text -> text: causal, text -> note: window(after=2), note -> text: causal}",
        {"text": 2, "note": 2},
    ),
    "times": (
        "[audio, motion]",
        "{audio -> audio: causal, audio -> motion: within(40 ms), motion -> audio: within(20 ms)}",
        {"audio": 4, "motion": 2},
    ),
    "rows": ("image", '"axial(row) & causal | axial(column)"', {"image": 20}),
}


@pytest.mark.parametrize("name", LEAKS)
def test_leaks_are_shown_at_the_shortest_lengths(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lengths worked out by hand; that of `late` is longer than the matrices that are tried."""
    monkeypatch.setattr(questions, "_CAPS", (16, 128))
    source, attention, lengths = LEAKS[name]
    plan = one(source, attention, depth=2)
    modality = source.strip("[]").split(",")[0]
    path = flow.looks_ahead(plan, modality)
    assert path is not None
    assert path.lengths == lengths


def test_what_only_longer_inputs_than_the_spec_admits_show() -> None:
    plan = one("note", '"causal | (window(after=1) & ~global(40))"')
    (question,) = flow.causality(plan, "note")
    assert flow.ask(plan, question).never == "every length the spec admits"
    proof = prove(plan, question.origin, ("s", "note"), later=True)
    assert proof.ever
    assert proof.lengths is None


def test_a_leak_too_long_for_matrices_is_not_decided() -> None:
    text = HEAD.replace("max: 3000", "max: 90000")
    mask = '"causal | (window(after=1) & ~global(80000))"'
    streams = f"  s: {{from: text, depth: 1, width: 8, heads: 2, attention: {mask}}}"
    rows = [x for x in text.splitlines() if not x.startswith("  ") or x.startswith("  text")]
    plan = lower(load("\n".join(rows) + "\n" + streams + TAIL))
    (question,) = flow.causality(plan, "text")
    answer = flow.ask(plan, question)
    assert answer.never is None
    assert answer.path is None
    assert answer.why == "something may flow at lengths of 80,002 text, too long to follow"


def test_sets_too_hard_to_follow_leave_it_to_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = one("note", '"~(~causal | strided(3)) | (block(4) & none)"')
    monkeypatch.setattr(sets, "_OPERATIONS", 5)
    question = flow.causality(plan, "note")[0]
    masks.pairs.cache_clear()
    with pytest.raises(TooHardError):
        prove(plan, question.origin, ("s", "note"), later=True)
    found = questions._searched(plan, question, None)
    assert found == flow.Answer(question, "every length the spec admits")


SPEC = """
mmspec: 1
name: claimed
modalities:
  text: {kind: tokens, vocab: 9, length: {max: 150}}
streams:
  s: {from: text, depth: 2, width: 8, heads: 2, attention: "%s"}
heads:
  y: {from: s, kind: classifier, classes: 3}
claims:
  - causal(text)
"""


@pytest.mark.parametrize(
    ("mask", "status", "detail"),
    [
        ("causal & strided(3)", "proved", "for every length"),
        ("causal & random(blocks=1)", "proved", "for every length"),
        ("random(blocks=9) & window(after=3)", "refuted", "text sees text"),
        ("causal | random(blocks=1) & ~random(blocks=1)", "held", "as blocks are drawn"),
    ],
)
def test_claims_say_how_they_are_known(mask: str, status: str, detail: str) -> None:
    """Random blocks are looked at, not proved: the last mask is causal for what is drawn."""
    (outcome,) = check_claims(Subject.of_text(SPEC % mask))
    assert outcome.status == status
    assert detail in outcome.detail
    assert outcome.span is not None
