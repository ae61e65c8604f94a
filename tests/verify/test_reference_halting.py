"""Halting of the reference: pondering computed by hand, exits at their limits."""

from __future__ import annotations

import math

import pytest
import torch
from reference_cases import close, normal, one_stream

from mmspec.schema.spec import Spec
from mmspec.verify.reference import Result, run
from mmspec.verify.reference.model import Mode
from mmspec.verify.strategies import weights

PONDER = "depth: 1, heads: 2, halting: {kind: ponder, at_most: 3, prior: 0.5, weight: 2"
Pondered = tuple[Spec, dict[str, torch.Tensor], Result]
CLASSES = "kind: classifier, classes: 3"


def ponder(mode: Mode, threshold: float = 0.99) -> Pondered:
    """A ponder whose every step halts with the same probability."""
    spec = one_stream(f"{PONDER}, threshold: {threshold}}}")
    w = weights(spec, 0)
    w["s_stream.halt.weight"] = torch.zeros(1, 6, dtype=torch.float64)
    w["s_stream.halt.bias"] = torch.tensor([math.log(1 / 3)], dtype=torch.float64)
    return spec, w, run(spec, w, {"x": normal(2, 5, 6)}, None, None, mode)


def test_p_and_its_divergence_by_hand() -> None:
    _, _, result = ponder("train")
    p = [1 / 4, 3 / 16, 9 / 16]
    close(result.statistics["s.halting"], torch.tensor([p, p], dtype=torch.float64))
    close(result.statistics["s.steps"], torch.full((2,), 37 / 16, dtype=torch.float64))
    prior = [4 / 7, 2 / 7, 1 / 7]
    divergence = sum(a * math.log(a / b) for a, b in zip(p, prior, strict=True))
    assert result.auxiliary["s.ponder"].item() == pytest.approx(2 * divergence)


def test_evaluation_gives_the_remainder_to_the_step_it_stops_at() -> None:
    _, _, result = ponder("eval", threshold=0.4)
    p = torch.tensor([[1 / 4, 3 / 4, 0]] * 2, dtype=torch.float64)
    close(result.statistics["s.halting"], p)
    assert result.statistics["s.steps"].tolist() == [2, 2]


def test_the_output_is_the_expected_step() -> None:
    _, w, result = ponder("train")
    steps = []
    for count in (1, 2, 3):
        plain = one_stream(f"depth: {count}, heads: 2")
        values = {
            name.replace("blocks.0", f"blocks.{i}"): value
            for i in range(count)
            for name, value in w.items()
        }
        steps.append(run(plain, values, {"x": normal(2, 5, 6)}).trace["s.tokens"][0])
    mixed = steps[0] / 4 + steps[1] * 3 / 16 + steps[2] * 9 / 16
    close(result.trace["s.tokens"][0], mixed)


def exits(threshold: float, mode: Mode = "eval", every: int = 1) -> Result:
    """Three blocks with exits."""
    spec = one_stream(
        f"depth: 3, heads: 2, halting: {{kind: exit, head: y, threshold: {threshold}, "
        f"every: {every}}}",
        CLASSES,
    )
    targets = {"y": torch.tensor([0, 2])}
    return run(spec, weights(spec, 0), {"x": normal(2, 5, 6)}, None, targets, mode)


def plain(depth: int) -> Result:
    """The first blocks of the same model, without exits."""
    spec = one_stream(f"depth: {depth}, heads: 2", CLASSES)
    whole = one_stream("depth: 3, heads: 2", CLASSES)
    targets = {"y": torch.tensor([0, 2])}
    return run(spec, weights(whole, 0), {"x": normal(2, 5, 6)}, None, targets)


def test_always_leaving_is_the_model_of_one_block_and_never_the_whole() -> None:
    close(exits(0.01).heads["y"], plain(1).heads["y"])
    close(exits(1).heads["y"], plain(3).heads["y"])
    assert exits(0.01).statistics["s.depth"].tolist() == [1, 1]
    assert exits(1).statistics["s.depth"].tolist() == [3, 3]


def test_training_averages_the_loss_over_the_exits() -> None:
    losses = [plain(depth).losses["y"] for depth in (2, 3)]
    close(exits(0.5, "train", every=2).losses["y"], (losses[0] + losses[1]) / 2)
    close(exits(0.5, "train", every=2).heads["y"], plain(3).heads["y"])
