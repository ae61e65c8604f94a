"""The search for counterexamples: fixed by its seed, shrunk, and honest about what it saw."""

from __future__ import annotations

from dataclasses import dataclass

import hypothesis
import pytest
from hypothesis import strategies as st

from mmspec.verify.lab.search import Vacuous, search
from mmspec.verify.law import Law, Search
from mmspec.verify.outcome import Broken, Outcome
from mmspec.verify.subject import Subject

SPEC = """\
mmspec: 1
name: small
modalities: {text: {kind: tokens, vocab: 9, length: {max: 12}}}
streams:
  text: {from: text, depth: 1, width: 8, heads: 2, attention: causal}
heads: {y: {from: text, kind: classifier, classes: 3}}
"""
SUBJECT = Subject.of_text(SPEC)
LAW = Law("P0", "small", "no number is large", lambda *_: Outcome("", "", "held"))
NUMBERS = st.integers(0, 10_000)
TRIES = Search(60, 3)


def test_a_property_that_keeps_is_held_over_every_example() -> None:
    seen: list[int] = []
    found = search(LAW, SUBJECT, TRIES, NUMBERS, seen.append)
    assert (found.status, found.examples, found.seed) == ("held", 60, 3)
    assert len(seen) == 60


def test_the_same_seed_tries_the_same_examples_and_another_does_not() -> None:
    runs: list[list[int]] = []
    for seed in (3, 3, 4):
        runs.append([])
        search(LAW, SUBJECT, Search(30, seed), NUMBERS, runs[-1].append)
    assert runs[0] == runs[1] != runs[2]


def test_the_smallest_counterexample_is_told_with_the_line_to_blame() -> None:
    def check(number: int) -> None:
        if number > 100:
            raise Broken(f"{number} is large", ("streams", "text", "attention"))

    found = search(LAW, SUBJECT, TRIES, NUMBERS, check)
    assert (found.name, found.statement, found.status) == ("P0", "no number is large", "refuted")
    assert (found.detail, found.counterexample) == ("101 is large", "101")
    assert found.span is not None
    assert found.span.line == 5
    assert SPEC.splitlines()[4][found.span.column - 1 :].startswith("causal")


def test_examples_describe_themselves() -> None:
    @dataclass(frozen=True)
    class Named:
        size: int

        def describe(self) -> str:
            return f"text of {self.size} tokens"

    def check(example: tuple[Named, int]) -> None:
        raise Broken("wrong")

    pairs = st.tuples(st.builds(Named, st.integers(2, 5)), st.integers(7, 9))
    found = search(LAW, SUBJECT, TRIES, pairs, check)
    assert found.counterexample == "text of 2 tokens; 7"
    assert found.span is None


def test_a_model_that_fails_is_refuted() -> None:
    def check(number: int) -> None:
        if number > 6:
            raise RuntimeError("size mismatch")

    found = search(LAW, SUBJECT, TRIES, NUMBERS, check)
    assert found.status == "refuted"
    assert found.detail == "the model fails with RuntimeError: size mismatch"
    assert found.counterexample == "7"


def test_an_exception_from_the_emitted_source_is_refuted() -> None:
    def check(number: int) -> None:
        SUBJECT.model()(text=None)

    found = search(LAW, SUBJECT, TRIES, NUMBERS, check)
    assert found.status == "refuted"
    assert "the model fails with" in found.detail


def test_a_fault_of_the_check_is_not_a_catch() -> None:
    def check(number: int) -> None:
        raise KeyError(number)

    with pytest.raises(KeyError):
        search(LAW, SUBJECT, TRIES, NUMBERS, check)


def test_a_law_whose_examples_are_vacuous_is_not_checked() -> None:
    def check(number: int) -> None:
        if number % 10:
            raise Vacuous

    found = search(LAW, SUBJECT, TRIES, NUMBERS, check)
    assert found.status == "not checked"
    assert "of 60 inputs held nothing that it speaks of" in found.detail


def test_a_strategy_that_draws_nothing_is_not_checked() -> None:
    def check(number: int) -> None:
        hypothesis.assume(False)

    assert search(LAW, SUBJECT, TRIES, NUMBERS, check).status == "not checked"


def failing_at(*calls: int) -> tuple[Outcome, int]:
    """What is found of a check that fails at these calls, and how often it is called."""
    made: list[int] = []

    def check(number: int) -> None:
        made.append(number)
        if len(made) in calls:
            raise Broken("large")

    return search(LAW, SUBJECT, TRIES, NUMBERS, check), len(made)


def test_what_fails_by_chance_is_said_to() -> None:
    found, _ = failing_at(4)
    assert (found.status, found.detail) == ("refuted", "large (not on every run)")


def test_what_fails_when_it_is_tried_once_more_is_no_chance() -> None:
    _, calls = failing_at(4)
    found, _ = failing_at(4, calls)
    assert (found.status, found.detail) == ("refuted", "large")
