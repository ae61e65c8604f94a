"""Tests of the tests: what is emitted once, and that it is anew where code was replaced."""

from __future__ import annotations

import dataclasses

import pytest

from mmspec.compiler import driver
from mmspec.compiler.emit import emit as emitter
from mmspec.schema.spec import Spec
from mmspec.schema.validate import validate
from mmspec.text import parse

SPEC = """
mmspec: 1
name: small
modalities: {text: {kind: tokens, vocab: 9, length: {max: 5}}}
streams: {text: {from: text, depth: 1, width: 8, heads: 1}}
heads: {label: {from: text, kind: classifier, classes: 2}}
"""


def spec(text: str = SPEC) -> Spec:
    return validate(parse(text))


def test_the_same_plan_and_spec_are_emitted_once() -> None:
    first = driver.emit(spec())
    assert driver.emit(spec()) is first
    assert driver.emit(spec(SPEC.replace("name:", "about: other\nname:"))) is not first
    plan = driver._lower(spec())
    assert emitter.emit(plan, spec()) is first
    (head,) = plan.heads
    other = dataclasses.replace(plan, heads=(dataclasses.replace(head, size=3),))
    assert emitter.emit(other, spec()) is not first


def test_what_is_replaced_is_in_what_is_emitted(monkeypatch: pytest.MonkeyPatch) -> None:
    before = driver.emit(spec()).files["inputs.py"]
    monkeypatch.setattr("mmspec.compiler.emit.inputs.SUMMARY", "Something else.")
    assert driver.emit(spec()).files["inputs.py"] != before
