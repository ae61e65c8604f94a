"""The laws: every shipped spec keeps them, and each catches the faults that are planted for it."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree

import pytest
from large import is_deep, part

from mmspec.verify.faults import FAULTS
from mmspec.verify.faults.fault import source
from mmspec.verify.laws import LAWS, Law, Search
from mmspec.verify.outcome import Outcome
from mmspec.verify.self_test import SelfTest, of_law, self_test, try_fault
from mmspec.verify.subject import Subject
from mmspec.verify.verify import check_law

SPECS = Path(__file__).parents[2] / "specs"
SHIPPED = sorted(path.stem for path in SPECS.glob("*.yaml") if path.stem != "gpt2")
LIKE_OTHERS = (
    *("capped", "gated", "hierarchical", "local_global", "macaron"),
    *("multi_stream_concat", "sliding", "stamps", "transformer_fusion"),
)
"""What these have, others have too: all laws are tried on them in `make deep`."""
FEW = Search(12 if is_deep() else 2, 1)
USUAL = Search(50, 0)
ANY = Search(50, 0, smallest=False)
BY_ID = {law.id: law for law in LAWS}
CAUGHT = {
    named: fault
    for named, fault in (
        *(((fault.laws[0], fault.id), fault) for fault in FAULTS),
        *(((law.id, of_law(law)[0].id), of_law(law)[0]) for law in LAWS),
    )
    if not fault.id.startswith("kernel-")
}
"""Every fault with the first law that it names, every law with a fault; the self test has all.

Those of kernels take a process whose triton interprets: test_laws_by_kernels.py.
"""


@lru_cache(maxsize=1)
def shipped(name: str) -> Subject:
    return Subject.of(SPECS / f"{name}.yaml")


@pytest.mark.deep
@pytest.mark.parametrize("name", part(SHIPPED, [n for n in SHIPPED if n not in LIKE_OTHERS]))
def test_a_shipped_spec_keeps_every_law(name: str) -> None:
    found = {law.id: check_law(law, shipped(name), FEW) for law in LAWS}
    refuted = {law: outcome.detail for law, outcome in found.items() if outcome.status == "refuted"}
    assert not refuted
    held = {law for law, outcome in found.items() if outcome.status == "held"}
    assert {"P1", "P3", "P13", "P54", "P55", "P57", "P59", "R1"} <= held


@pytest.mark.deep
@pytest.mark.parametrize("spec", sorted({fault.spec for fault in FAULTS}), ids=lambda s: s[16:25])
def test_what_faults_are_planted_in_keeps_the_laws_that_see_them(spec: str) -> None:
    """In `make deep` every law."""
    faults = [fault for fault in FAULTS if fault.spec == spec]
    subject, named = faults[0].subject(), {law for fault in faults for law in fault.laws}
    for law in LAWS if is_deep() else [law for law in LAWS if law.id in named]:
        outcome = check_law(law, subject, FEW)
        assert outcome.status != "refuted", (law.id, outcome.detail, outcome.counterexample)


@pytest.mark.parametrize(("law", "fault"), CAUGHT)
def test_a_law_catches_the_fault_planted_for_it(law: str, fault: str) -> None:
    trial = try_fault(BY_ID[law], CAUGHT[law, fault], ANY)
    assert trial.caught, trial.detail
    assert "fails with" not in trial.detail, "a crash is no catch"
    assert trial.counterexample


def test_every_law_has_a_fault_and_every_fault_a_law() -> None:
    assert all(of_law(law) for law in LAWS)
    known = {law.id for law in LAWS}
    assert all(fault.laws and set(fault.laws) <= known for fault in FAULTS)
    assert len({fault.id for fault in FAULTS}) == len(FAULTS)


def test_the_same_seed_finds_the_same_counterexample() -> None:
    fault = CAUGHT["P13", "padding-seen"]
    first, second = (try_fault(BY_ID["P13"], fault, USUAL) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("fault", "law", "words"),
    [
        ("window-keeps-one-more", "P3", "attention: window"),
        ("residual-lost", "P59", "  joint:"),
        ("balance-counts-padding", "P59", "feed_forward: {kind: experts"),
        ("gate-over-batch", "P10", "{fusion: gated, of: [image, text]}"),
        ("remainder-lost", "P41", "halting: {kind: ponder"),
        ("smoothing-lost", "P59", "label: {smoothing: 0.2}"),
    ],
)
def test_the_line_to_blame_is_the_one_that_says_it(fault: str, law: str, words: str) -> None:
    planted = next(each for each in FAULTS if each.id == fault).planted()
    outcome = check_law(BY_ID[law], planted, USUAL)
    assert outcome.span is not None
    lines = planted.document.text.splitlines()
    assert words in "\n".join(lines[outcome.span.line - 2 : outcome.span.line])


def test_the_self_test_counts_what_is_caught_and_what_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mmspec.verify import self_test as tested

    report = self_test(("P41",), examples=20)
    assert report.exit_code == 0
    assert (
        report.summary()
        == f"{len(report.trials)} of {len(report.trials)} planted faults caught by 1 law"
    )
    assert {trial.law for trial in report.trials} == {"P41"}

    def blind(law: Law, subject: Subject, search: Search) -> Outcome:
        return Outcome(law.id, law.statement, "held", examples=search.examples)

    monkeypatch.setattr(tested, "check_law", blind)
    report = self_test(("p41",), examples=20)
    assert report.exit_code == 1
    assert len(report.missed) == len(report.trials) == report.as_dict()["counts"]["planted"]
    suite = ElementTree.fromstring(report.junit())[0]
    assert suite.attrib["failures"] == suite.attrib["tests"] == str(len(report.trials))
    sound = ElementTree.fromstring(SelfTest(report.trials[:1], ("P9",), ("P1 of `a`",)).junit())[0]
    assert [case.attrib["classname"] for case in sound] == ["P41", "P9", "false alarm"]
    caught = SelfTest((replace(report.trials[0], caught=True),), (), ()).junit()
    assert ElementTree.fromstring(caught)[0].attrib["failures"] == "0"


def test_a_prompt_of_text_that_another_stream_packs() -> None:
    """Its documents are cut with it."""
    subject = Subject.of_text("""\
mmspec: 1
name: both
modalities:
  text: {kind: tokens, vocab: 5, length: {max: 6}}
streams:
  said: {from: text, depth: 1, width: 6, heads: 2, attention: causal}
  sorted: {from: text, depth: 1, width: 6, heads: 2, attention: document}
heads:
  next: {from: said, kind: language-model, tied: false}
  kind: {from: sorted, kind: classifier, classes: 3}
""")
    outcome = check_law(BY_ID["P17"], subject, Search(20, 0))
    assert outcome.status == "held", outcome.detail


SATURATED = """\
mmspec: 1
name: saturated
modalities:
  picture: {kind: image, size: [32, 16], channels: 3, patch: 8, position: none}
streams:
  seen: {from: picture, depth: 1, width: 24, heads: 2, norm: {kind: layer, placement: post}}
heads:
  value: {from: seen, kind: regressor, outputs: 1}
"""
"""Where contents are large each query reads one key alone: its scores have a gradient of 0."""


def test_what_rounding_leaves_of_a_gradient_of_0_is_no_fault() -> None:
    outcome = check_law(BY_ID["R1"], Subject.of_text(SATURATED), Search(20, 0))
    assert outcome.status == "held", outcome.detail


@pytest.mark.parametrize("part", [1e-6, 1.0])
def test_a_part_of_a_gradient_that_is_lost_there_is_a_fault(part: float) -> None:
    call = "self.attention(x_btd, mask)"
    lost = f"{call} * (1 - {part}) + {part} * {call}.detach()"
    subject = source((re.escape(call), lost))(Subject.of_text(SATURATED))
    outcome = check_law(BY_ID["R1"], subject, Search(20, 0))
    assert outcome.status == "refuted" and "the gradient of" in outcome.detail
