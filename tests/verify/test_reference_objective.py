"""Losses and pooled heads of the reference against torch's functions and naive loops."""

from __future__ import annotations

import pytest
import torch
from reference_cases import close, normal, one_stream
from torch.nn import functional

from mmspec.schema.objective import Objective
from mmspec.verify.reference import run
from mmspec.verify.reference.head import pool
from mmspec.verify.reference.objective import contrastive, cross_entropy, next_token
from mmspec.verify.strategies import load, weights


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_cross_entropy_is_torchs(smoothing: float) -> None:
    logits, target = normal(5, 4) * 5, torch.tensor([0, -100, 3, 1, -100])
    expected = functional.cross_entropy(logits, target, label_smoothing=smoothing)
    close(cross_entropy(logits, target, smoothing), expected)


def test_nothing_to_learn_is_a_loss_of_0() -> None:
    assert cross_entropy(normal(2, 3), torch.tensor([-100, -100])).item() == 0
    assert next_token(normal(1, 1, 3), torch.tensor([[2]]), [[]]).item() == 0


def test_next_token_by_a_loop() -> None:
    logits = normal(2, 4, 5)
    target = torch.tensor([[1, 2, -100, 4], [3, 0, 1, 2]])
    pairs = [(0, 0, 2), (0, 2, 4), (1, 0, 0)]
    terms = [logits[b, t].log_softmax(0)[code] for b, t, code in pairs]
    expected = -torch.stack(terms).sum() / 3
    close(next_token(logits, target, [[0, 1, 2], [0]]), expected)


def test_contrastive_is_clips_over_the_samples_with_both_sides() -> None:
    logits = normal(4, 4)
    kept = logits[[0, 2, 3]][:, [0, 2, 3]]
    target = torch.arange(3)
    expected = functional.cross_entropy(kept, target) + functional.cross_entropy(kept.T, target)
    close(contrastive(logits, [True, False, True, True]), expected / 2)


def test_pools() -> None:
    x = normal(4, 3)
    close(pool(x, "mean"), x.sum(0) / 4)
    close(pool(x, "first"), x[0])
    close(pool(x, "last"), x[3])
    assert pool(x[:0], "last").tolist() == pool(x[:0], "mean").tolist() == [0, 0, 0]


def test_similarities_of_unit_vectors() -> None:
    spec = load(
        "mmspec: 1\nname: two\nmodalities:\n"
        "  a: {kind: series, features: 2, rate: 1 Hz, length: {max: 3}, optional: true}\n"
        "  e: {kind: series, features: 2, rate: 1 Hz, length: {max: 3}}\n"
        "streams:\n  a: {from: a, depth: 1, width: 4, heads: 2}\n"
        "  e: {from: e, depth: 1, width: 6, heads: 2}\n"
        "heads:\n  match: {from: [a, e], kind: contrastive, width: 5}\n"
    )
    w = weights(spec, 0)
    lengths = {"a": torch.tensor([3, 0, 2]), "e": torch.tensor([1, 2, 3])}
    result = run(spec, w, {"a": normal(3, 3, 2), "e": normal(3, 3, 2, seed=1)}, lengths)
    unit = []
    for side in "ae":
        pooled = [x.sum(0) / max(1, len(x)) for x in result.trace[f"{side}.tokens"]]
        projected = torch.stack(pooled) @ w[f"match_head.{side}_projection.weight"].T
        unit.append(functional.normalize(projected))
    close(result.heads["match"], w["match_head.scale"].exp() * unit[0] @ unit[1].T)
    assert result.heads["match"][1].tolist() == [0, 0, 0]


def test_the_total_is_weighted_and_holds_the_auxiliary_losses() -> None:
    spec = one_stream("depth: 1, heads: 2, feed_forward: {kind: switch, experts: 2, balance: 3}")
    quarter = spec.model_copy(update={"objectives": {"y": Objective(weight=0.25)}})
    w, target = weights(spec, 0), {"y": normal(2, 2, seed=5)}
    result = run(quarter, w, {"x": normal(2, 5, 6)}, None, target, "train")
    close(result.losses["y"], functional.mse_loss(result.heads["y"], target["y"]))
    assert result.loss is not None
    close(result.loss, 0.25 * result.losses["y"] + result.auxiliary["s.balance"])
