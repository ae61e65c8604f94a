"""What is proved is tried: a wrong proof of each kind of claim is met by what the model does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmspec.verify import costs, flow
from mmspec.verify.claims import check_claim
from mmspec.verify.costs.polynomial import constant
from mmspec.verify.report import Report
from mmspec.verify.subject import Subject

SPECS = Path(__file__).parents[2] / "specs"


def of(name: str, claim: str) -> Subject:
    """A shipped spec with one claim."""
    text = (SPECS / f"{name}.yaml").read_text(encoding="utf-8")
    return Subject.of_text(f"{text.partition('claims:')[0]}claims:\n  - {claim}\n")


def never(_plan: Any, question: flow.Question) -> flow.Answer:
    return flow.Answer(question, "every length")


def more(true: Callable[..., int]) -> Callable[..., int]:
    return lambda *given: true(*given) + 1


FAULTS: dict[str, tuple[str, str, Any, str, Any]] = {
    "flow": ("gated", "no flow from text to joint", flow, "ask", never),
    "of a stream": ("captioner", "no flow from image to text", flow, "ask", never),
    "causality": ("single_stream", "causal(joint)", flow, "ask", never),
    "parameters": (
        *("gated", "params == 333002", costs, "parameters"),
        more(costs.parameters),
    ),
    "active": (
        *("experts_top2", "active_params >= 1", costs, "active_parameters"),
        more(costs.active_parameters),
    ),
    "flops": ("gated", "flops(text=48) >= 1", costs, "flops", more(costs.flops)),
    "pairs": (
        *("sliding", "pairs(text) in O(text^2)", costs, "visible_pairs"),
        lambda _plan, _stream: constant(7),
    ),
    "depth": ("act", "expected_depth >= 0", costs, "expected_depth_bounds", lambda *_: (0, 9)),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_wrong_proof_is_met(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, claim, module, what, wrong = FAULTS[name]
    subject = of(spec, claim)
    true = check_claim(subject, claim, 0)
    assert not true.disputed
    monkeypatch.setattr(module, what, wrong)
    found = check_claim(subject, claim, 0)
    assert (found.status, found.disputed) == ("refuted", True), found.detail
    report = Report("spec.yaml", spec, (found,), (), subject.document.text)
    assert report.exit_code == 1 and report.diagnostic(found).code == "MM707"
    assert "when it is tried" in found.detail
