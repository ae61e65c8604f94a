"""Random valid specs: they compile, run, train a step, equal the reference and keep the laws."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from large import is_deep

from mmspec.verify.lab.case import Case, cases
from mmspec.verify.laws import LAWS, Search
from mmspec.verify.laws.meaning import check_case, check_gradients
from mmspec.verify.strategies import specs
from mmspec.verify.subject import Subject
from mmspec.verify.verify import check_law, law_of


@lru_cache(maxsize=32)
def subject_of(text: str) -> Subject:
    return Subject.of_text(text)


@settings(max_examples=50 if is_deep() else 10)
@given(st.data())
def test_a_random_spec_equals_the_reference_and_trains_a_step(data: st.DataObject) -> None:
    """By the laws' own checks; `test_reference_compiled.py` has more of them, by its own."""
    subject = subject_of(data.draw(specs()))
    case = data.draw(cases(subject))
    check_case(subject, case)
    check_gradients(subject, case)
    trains_a_step(subject, data.draw(cases(subject, modes=("train",), batch=(3, 3))))


def trains_a_step(subject: Subject, case: Case) -> None:
    """A step moves a weight, and leaves all finite."""
    torch.manual_seed(0)
    model: Any = subject.model_class().train()
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    tensors = {
        name: None if x is None or not x.is_floating_point() else x.float()
        for name, x in case.batch.tensors.items()
    }
    given_ = {name: case.batch.tensors[name] if x is None else x for name, x in tensors.items()}
    floats = {n: t.float() if t.is_floating_point() else t for n, t in case.batch.targets.items()}
    out = model(**given_, lengths=case.batch.lengths, targets=floats)
    if out.loss is None or not out.loss.requires_grad:
        return
    out.loss.backward()
    optimizer.step()
    moved = [
        name for name, value in model.named_parameters() if not torch.equal(value, before[name])
    ]
    assert all(bool(torch.isfinite(value).all()) for value in model.parameters())
    assert moved or float(out.loss) == 0


LATENTS_NAMED_LIKE_A_MODALITY = """
mmspec: 1
name: drawn
modalities:
  text: {kind: tokens, vocab: 11, length: {max: 2}}
streams:
  text: {from: {fusion: attention, of: [text], queries: 1}, depth: 1, heads: 1, width: 3}
heads:
  label: {kind: classifier, classes: 5, from: text}
"""


@example(LATENTS_NAMED_LIKE_A_MODALITY)
@settings(
    max_examples=40 if is_deep() else 3,
    suppress_health_check=[HealthCheck.nested_given, HealthCheck.too_slow],
)
@given(specs())
def test_a_random_spec_keeps_every_law(text: str) -> None:
    subject = subject_of(text)
    for law in LAWS:
        found = check_law(law, subject, Search(3 if is_deep() else 2, 0))
        assert found.status != "refuted", (law.id, found.detail, found.counterexample)


TURNS = """
mmspec: 1
name: two_turns
modalities:
  image: {kind: image, size: [6, 9], patch: 3, position: rotary}
  text: {kind: tokens, vocab: 23, length: {max: 8}, position: rotary}
streams:
  image: {from: image, depth: 1, heads: 4, head_width: 2, width: 8, rotary: {scaling: "SCALING"}}
  text: {from: text, depth: 1, heads: 3, head_width: 6, width: 7,
    rotary: {base: 100, scaling: "SCALING"}}
heads:
  left: {from: image, kind: classifier, classes: 2}
  right: {from: text, kind: classifier, classes: 2}
""".replace("SCALING", "llama3(4, 30, 0.5, 3)")


def test_streams_whose_rates_differ_share_a_class_that_is_told_them() -> None:
    """Found by drawing: the record was to be an argument, and emission failed."""
    subject = subject_of(TURNS)
    assert subject.package.files["attention.py"].count("class Rotation(") == 1
    found = check_law(law_of("P59"), subject, Search(3, 0))
    assert found.status == "held"
