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
    steps = answer.path
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
    answer, steps = head.answer, head.answer.path
    assert isinstance(answer, ir.LanguageModel)
    width = steps[-1].outputs if steps else value.width
    cost = linear(rows, width, head.size, answer.bias)
    parameters = head.size * answer.bias if head.tied else cost.parameters
    is_part, is_scaled = len(value.segments) > 1, head.scale != 1
    first = rows * value.width if is_part else NOTHING
    kept = NOTHING if steps and gives(steps[-1]) and not is_scaled else cost.kept
    if not steps:
        kept = kept if is_part or is_scaled else sizes.keep(value)
    elif reads(steps[0]):
        kept += first if is_part else sizes.keep(value)
    found = Cost(parameters, parameters, cost.dense, cost.useful, kept)
    return found + path(rows, steps, 1, 1) if steps else found


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
