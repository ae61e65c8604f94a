"""Costs of heads; a head that decides exits is computed at each of them in training."""

from __future__ import annotations

from mmspec.compiler import ir
from mmspec.verify.costs.halting import ends
from mmspec.verify.costs.part import NOTHING, Cost, Part, Sizes, keeps, linear, weights
from mmspec.verify.costs.path import gives, path, reads
from mmspec.verify.costs.polynomial import BATCH, Polynomial


def costs(sizes: Sizes, head: ir.Head) -> Part:
    """Cost of one head, losses aside."""
    return _cost(sizes, head).part(head.module, "head", head.kind, "")


def _cost(sizes: Sizes, head: ir.Head) -> Cost:
    if isinstance(head.answer, ir.LanguageModel):
        return _language_model(sizes, head)
    if isinstance(head.answer, ir.Contrastive):
        return _contrastive(sizes, head)
    return _pooled(sizes, head, head.answer)


def _pooled(sizes: Sizes, head: ir.Head, answer: ir.Classifier | ir.Regressor) -> Cost:
    """The mean is a tensor of its own; the first or last token is part of all tokens, kept.

    Before the last exit these are what the norm made, else what the next block keeps.
    """
    value, stack = head.sources[0], sizes.plan.exits(head)
    exits = ends(stack) if stack else 1
    steps = answer.through
    cost = linear(BATCH, steps[-1].outputs if steps else value.width, head.size, bias=True)
    if steps:
        cost += path(BATCH, steps, 1, 1) + keeps(BATCH * (value.width * reads(steps[0])))
        cost += keeps(BATCH * (-steps[-1].outputs * gives(steps[-1])))
    cost = cost.repeated(1, exits)
    if answer.pool == "mean":
        return cost
    normed = sizes.rows(value) * (value.width * (exits - 1) * bool(stack and stack.final_norm))
    return cost + keeps(_taken(sizes, value, answer.taken, exits) + normed)


def _taken(sizes: Sizes, value: ir.Value, taken: ir.Taken, times: int = 1) -> Polynomial:
    """What taking a token keeps besides that token: all of them, of which it is a part or a copy.

    It is copied where its place is not the same in all samples.
    """
    held = {segment.modality or segment.leads for segment in value.segments}
    is_copied = taken.mark is not None or (bool(taken.of) and len(held) > 1)
    return sizes.keep(value) - BATCH * (0 if is_copied else value.width * times)


def _language_model(sizes: Sizes, head: ir.Head) -> Cost:
    """A tied table is a parameter of its embedding; one segment of several is kept as a copy."""
    value = head.sources[0]
    rows = BATCH * sizes.among(x for x in value.segments if x.name == head.segment)
    cost = linear(rows, value.width, head.size, bias=False)
    parameters = 0 if head.tied else cost.parameters
    copied = len(value.segments) > 1 or head.scale != 1
    kept = cost.kept if copied else sizes.keep(value)
    return Cost(parameters, parameters, cost.dense, cost.useful, kept)


def _contrastive(sizes: Sizes, head: ir.Head) -> Cost:
    """Two projections of means, and the product of all samples with all samples."""
    cost = weights(1)
    assert isinstance(head.answer, ir.Contrastive)
    pooled = zip(head.sources, head.answer.pooling, head.taken, strict=True)
    for value, how, taken in pooled:
        cost += linear(BATCH, value.width, head.size, bias=False)
        cost += keeps(NOTHING if how == "mean" else _taken(sizes, value, taken))
    flops = BATCH * BATCH * (2 * head.size)
    # Projections, their norms (raw and clamped), and the two sides and a scaled one of the product.
    return cost + Cost(dense=flops, useful=flops) + keeps(BATCH * (5 * head.size + 4))
