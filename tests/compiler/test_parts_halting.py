"""Stacks that stop: what each sample gets, and that stopped samples are computed no more."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
import torch
from part_case import NORM, block, filled, normal, same, same_gradients, stacked, valid_until
from torch import Tensor, nn

from mmspec.compiler import ir
from mmspec.compiler.ir.halting import Act
from mmspec.compiler.parts.attention import visible, visible_keys
from mmspec.compiler.parts.halting import (
    ActStack,
    ExitStack,
    PonderStack,
    paid_steps,
    ponder_penalty,
    rows,
)
from mmspec.compiler.parts.head import PooledHead
from mmspec.compiler.parts.routing import Routing

B, T, D = 5, 3, 12
LENGTHS = [3, 1, 2, 3, 2]
POSITIONS = torch.arange(T)


@dataclass
class Watch:
    """How many samples each call of a module got."""

    counts: list[int] = field(default_factory=list)

    def on(self, module: nn.Module) -> Watch:
        """Watch the module's calls."""
        module.register_forward_pre_hook(self._note)
        return self

    def _note(self, module: nn.Module, given: tuple[Tensor, ...]) -> None:
        self.counts.append(given[0].shape[0])


def call(stack: nn.Module, x: Tensor, shared: bool, *more: object) -> tuple[Tensor, ...]:
    """Run a stack on samples of LENGTHS; shared: one mask for all beside their validity."""
    valid = valid_until(LENGTHS, T)[: x.shape[0]]
    causal = torch.ones(T, T, dtype=torch.bool).tril()
    mask = visible(causal, None) if shared else visible(causal, valid)
    told = (mask, POSITIONS, valid, (T,), list[Routing](), *more, (), x, ())
    result: tuple[Tensor, ...] = stack(x, *told)
    return result


def alone(stack: PonderStack | ActStack | ExitStack, x: Tensor, b: int, steps: int) -> Tensor:
    """Sample b of x through `steps` rounds of the blocks, then the norm: [T, D]."""
    length = LENGTHS[b]
    mask = visible(torch.ones(T, T, dtype=torch.bool).tril(), valid_until([length], T))
    y = x[b : b + 1]
    turn = (torch.ones(T, 2), torch.zeros(T, 2))
    for _ in range(steps):
        for layer in stack.blocks:
            valid = valid_until([length], T)
            y = layer(y, mask, turn, (), valid, (T,), list[Routing](), (), y, ())
    return (stack.norm(y) if stack.final_norm else y)[0]


def ponder(at_most: int = 4, final_norm: bool = True, threshold: float = 0.9) -> PonderStack:
    """A pondering stack of two blocks a step, whose samples stop at different steps."""
    halting = ir.Ponder(at_most, prior=0.3, weight=0.01, threshold=threshold)
    return filled(
        PonderStack(*stacked(block(), depth=2, final_norm=NORM if final_norm else None), halting),
        seed=2,
    )


def halting(stack: PonderStack | ActStack, x: Tensor, b: int) -> tuple[list[Tensor], list[Tensor]]:
    """The states h_1 .. h_N of a sample and lambda_1 .. lambda_N, as the language defines them."""
    states, rates = [], []
    for step in range(1, stack.at_most + 1):
        h = alone(stack, x, b, step)
        pooled = h[: LENGTHS[b]].sum(0) / LENGTHS[b]
        score = (stack.halt.weight[0] * pooled).sum() + stack.halt.bias[0]
        states.append(h)
        rates.append(1 / (1 + torch.exp(-score)))
    rates[-1] = torch.ones_like(rates[-1])
    return states, rates


@pytest.mark.parametrize("final_norm", [True, False])
@pytest.mark.parametrize("at_most", [1, 2, 4])
def test_ponder_trains_on_the_expectation(at_most: int, final_norm: bool) -> None:
    stack, x = ponder(at_most, final_norm).train(), normal(B, T, D)
    out, p, steps = call(stack, x, False)
    for b in range(B):
        states, rates = halting(stack, x, b)
        left, shares = torch.ones((), dtype=torch.float64), []
        for rate in rates:
            shares.append(left * rate)
            left = left * (1 - rate)
        same(p[b], torch.stack(shares))
        expected = torch.stack([s * h for s, h in zip(shares, states, strict=True)]).sum(0)
        used = [x, *stack.blocks.parameters()] + ([stack.halt.weight] if at_most > 1 else [])
        same_gradients(out[b, : LENGTHS[b]], expected[: LENGTHS[b]], used)
        counted = [n * share for n, share in enumerate(shares, start=1)]
        same(steps[b], torch.stack(counted).sum())
    same(p.sum(1), torch.ones(B, dtype=torch.float64))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("threshold", [0.5, 0.9, 1.0])
def test_ponder_stops_each_sample_at_its_own_step(threshold: float, shared: bool) -> None:
    stack, x = ponder(5, threshold=threshold).eval(), normal(B, T, D)
    watch = Watch().on(stack.blocks[0])
    out, p, steps = call(stack, x, shared)
    ran = watch.counts[:]
    for b in range(B):
        states, rates = halting(stack, x, b)
        left, shares = 1.0, []
        for n, rate in enumerate(rates, start=1):
            spent = 1 - left * (1 - rate.item())
            stops = spent >= threshold or n == 5
            shares.append(left if stops else left * rate.item())
            left -= shares[-1]
            if stops:
                break
        assert steps[b].item() == len(shares)
        same(p[b], torch.tensor([*shares, *[0.0] * (5 - len(shares))], dtype=torch.float64))
        expected = sum(s * h for s, h in zip(shares, states, strict=False))
        assert isinstance(expected, Tensor)
        same(out[b, : LENGTHS[b]], expected[: LENGTHS[b]])
    running = [int((steps >= n).sum()) for n in range(1, int(steps.max()) + 1)]
    assert ran == running
    assert threshold > 0.9 or len(set(steps.tolist())) > 1


def test_ponder_of_one_sample_and_of_none_valid() -> None:
    stack, x = ponder(3).eval(), normal(1, T, D)
    valid = valid_until([0], T)
    out, p, steps = stack(x, visible_keys(valid), POSITIONS, valid, (T,), [], (), x, ())
    assert out.isfinite().all() and p.sum().item() == pytest.approx(1)
    rate = 1 / (1 + math.exp(-stack.halt.bias.item()))
    assert p[0, 0].item() == pytest.approx(1 if rate >= 0.9 else rate)
    assert steps.item() >= 1


@pytest.mark.parametrize("prior", [0.1, 0.5, 0.9])
def test_ponder_penalty_is_the_divergence_from_the_prior(prior: float) -> None:
    p = torch.tensor([[0.2, 0.5, 0.3], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    geometric = [prior * (1 - prior) ** n for n in range(3)]
    terms = [
        sum(s * math.log(s * sum(geometric) / g) for s, g in zip(row, geometric, strict=True) if s)
        for row in p.tolist()
    ]
    p.requires_grad_()
    found = ponder_penalty(p, prior)
    assert found.item() == pytest.approx(sum(terms) / 3, abs=1e-12)
    (gradient,) = torch.autograd.grad(found, p)
    assert gradient.isfinite().all()
    start = torch.tensor([geometric], dtype=torch.float64) / sum(geometric)
    assert ponder_penalty(start, prior).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("prior", "steps"), [(0.9, 64), (0.9999999999, 12), (1e-9, 64)])
def test_a_penalty_of_many_steps_is_finite(prior: float, steps: int) -> None:
    """All mass on the last step: log of the sum less steps - 1 times log(1 - prior)."""
    p = torch.zeros(1, steps)
    p[0, -1] = 1
    total = math.fsum((1 - prior) ** n for n in range(steps))
    expected = math.log(total) - (steps - 1) * math.log1p(-prior)
    assert ponder_penalty(p, prior).item() == pytest.approx(expected, rel=1e-5)


def act(at_most: int = 5, threshold: float = 0.9) -> ActStack:
    """Two blocks a step, whose samples halt at different steps."""
    rule = Act(at_most, weight=0.01, threshold=threshold)
    return filled(ActStack(*stacked(block(), depth=2, final_norm=NORM), rule), seed=2)


def adapted(stack: ActStack, x: Tensor, b: int) -> tuple[list[Tensor], list[Tensor]]:
    """The states that a sample goes through and their weights, one after the other."""
    states, rates = halting(stack, x, b)
    weights: list[Tensor] = []
    for n, rate in enumerate(rates, start=1):
        so_far = sum(weight.item() for weight in weights)
        if so_far + rate.item() >= stack.threshold or n == stack.at_most:
            return states[:n], [*weights, 1 - sum(weights, torch.zeros(()).double())]
        weights.append(rate)
    raise AssertionError


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("at_most", "threshold"), [(1, 0.9), (2, 0.9), (5, 0.6), (5, 0.9), (5, 1)])
def test_act_halts_once_its_probabilities_sum_to_enough(
    at_most: int, threshold: float, training: bool
) -> None:
    stack, x = act(at_most, threshold).train(training), normal(B, T, D)
    watch = Watch().on(stack.blocks[0])
    out, p, steps = call(stack, x, False)
    ran = watch.counts[:]
    paid = paid_steps(p, steps)
    expected_paid = torch.zeros(()).double()
    for b in range(B):
        states, weights = adapted(stack, x, b)
        assert steps[b].item() == len(weights)
        same(p[b], torch.stack(weights + [torch.zeros(()).double()] * (at_most - len(weights))))
        expected = torch.stack([w * h for w, h in zip(weights, states, strict=True)]).sum(0)
        used = [x, *stack.blocks.parameters()] + ([stack.halt.weight] if len(weights) > 1 else [])
        same_gradients(out[b, : LENGTHS[b]], expected[: LENGTHS[b]], used)
        expected_paid = expected_paid + (len(weights) + weights[-1]) / B
    same(paid, expected_paid)
    if at_most > 1 and p[:, 1:].any():
        same_gradients(paid, expected_paid, [stack.halt.weight, stack.halt.bias])
    running = [int((steps >= n).sum()) for n in range(1, int(steps.max()) + 1)]
    assert ran == ([B] * at_most if training else running)
    assert at_most < 5 or len(set(steps.tolist())) > 1 or threshold == 1


def exits(after: tuple[int, ...], threshold: float, final_norm: bool = True) -> ExitStack:
    """Four blocks that may be left after some."""
    norm, rule = NORM if final_norm else None, ir.Exit("y", threshold, after)
    return filled(ExitStack(*stacked(block(), depth=4, final_norm=norm), rule), seed=3)


def walk(stack: ExitStack, x: Tensor, b: int, depth: int) -> Tensor:
    """Sample b after that many blocks, normed."""
    whole, stack.blocks = stack.blocks, stack.blocks[:depth]
    try:
        return alone(stack, x, b, 1)
    finally:
        stack.blocks = whole


def confidence(stack: ExitStack, head: PooledHead, x: Tensor, b: int, depth: int) -> float:
    """The largest softmax probability of a mean-pooled head after that many blocks."""
    pooled = walk(stack, x, b, depth)[: LENGTHS[b]].sum(0) / LENGTHS[b]
    powers = (head.output.weight @ pooled + head.output.bias).exp()
    return (powers.max() / powers.sum()).item()


@pytest.mark.parametrize("final_norm", [True, False])
@pytest.mark.parametrize("after", [(1, 2, 3, 4), (2, 4), (3, 4), (4,)])
def test_exits_train_every_exit(after: tuple[int, ...], final_norm: bool) -> None:
    stack, x = exits(after, 0.5, final_norm).train(), normal(B, T, D)
    head = filled(PooledHead(D, 3, "mean"), seed=53)
    states, depth = call(stack, x, False, head)
    assert depth.tolist() == [4.0] * B
    assert len(states) == len(after)
    for state, blocks in zip(states, after, strict=True):
        for b in range(B):
            expected = walk(stack, x, b, blocks)
            same_gradients(state[b, : LENGTHS[b]], expected[: LENGTHS[b]], [x])


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("after", [(1, 2, 3, 4), (2, 4), (3, 4)])
@pytest.mark.parametrize("threshold", [0.0, 0.6, 1.0])
def test_a_sample_leaves_at_its_first_confident_exit(
    threshold: float, after: tuple[int, ...], shared: bool
) -> None:
    stack, x = exits(after, threshold).eval(), normal(B, T, D)
    head = filled(PooledHead(D, 3, "mean"), seed=53)
    watches = [Watch().on(layer) for layer in stack.blocks]
    (out,), depth = call(stack, x, shared, head)
    ran = [sum(watch.counts) for watch in watches]
    for b in range(B):
        confident = (n for n in after if n == 4 or confidence(stack, head, x, b, n) >= threshold)
        blocks = next(confident)
        state = walk(stack, x, b, blocks)
        assert depth[b].item() == blocks
        same(out[b, : LENGTHS[b]], state[: LENGTHS[b]])
    assert ran == [int((depth >= n).sum()) for n in (1, 2, 3, 4)]
    if threshold == 0.0:
        assert set(depth.tolist()) == {after[0]}
    if threshold == 0.6 and len(after) == 4:
        assert len(set(depth.tolist())) > 1


def test_rows_are_taken_of_what_has_a_batch() -> None:
    keep = torch.tensor([True, False, True])
    whole = torch.arange(6).view(3, 2)
    found = rows(whole, keep)
    assert found is not None and found.tolist() == [[0, 1], [4, 5]]
    assert rows(whole[:1], keep) is not None and rows(None, keep) is None
    one = rows(whole[:1], keep)
    assert one is not None and one.tolist() == [[0, 1]]


@pytest.mark.parametrize("kind", ["ponder", "act", "exit"])
def test_a_graph_goes_on_to_the_end_and_says_the_same(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of samples that stop at different depths."""
    x, head = normal(B, T, D), filled(PooledHead(D, 3, "mean"), seed=53)
    stack: PonderStack | ActStack | ExitStack = exits((1, 2, 3, 4), 0.6)
    if kind != "exit":
        stack = ponder() if kind == "ponder" else act()
    more = (head,) if kind == "exit" else ()
    stack.eval()
    first = call(stack, x, False, *more)
    assert len(set(first[-1].tolist())) > 1
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    watch = Watch().on(stack.blocks[-1])
    second = call(stack, x, False, *more)
    assert set(watch.counts) == {B}
    same(second[-1], first[-1])
    same(second[0][0], first[0][0])
    if kind != "exit":
        same(second[0], first[0])
        same(second[1], first[1])
