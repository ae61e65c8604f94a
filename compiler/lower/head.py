"""Heads and their objectives -> IR."""

from __future__ import annotations

from mmspec.compiler import ir
from mmspec.compiler.lower import objective as objectives
from mmspec.compiler.lower.context import Context
from mmspec.schema import head as schema
from mmspec.schema.check import token_segment
from mmspec.schema.objective import DEFAULT_LOSS, Objective


def lower(context: Context, name: str) -> ir.Head:
    """Lower one head with its objective."""
    spec = context.spec
    head = spec.heads[name]
    objective = spec.objectives.get(name, Objective())
    answer, size = _answer(context, head)
    return ir.Head(
        name=name,
        module=f"{name}_head",
        answer=answer,
        sources=tuple(context.values[stream] for stream in schema.sources(head)),
        size=size,
        loss=_loss(context, name, answer, objective),
        weight=objective.weight,
        span=spec.span("heads", name),
    )


def _answer(context: Context, head: schema.Head) -> tuple[ir.Answer, int]:
    """What a head says, and the size of it."""
    if isinstance(head, schema.Classifier):
        return ir.Classifier(head.pool), head.classes
    if isinstance(head, schema.Regressor):
        return ir.Regressor(head.pool), head.outputs
    if isinstance(head, schema.Contrastive):
        return ir.Contrastive(head.temperature), head.width
    segment = token_segment(context.spec, context.wiring, head)
    assert segment is not None, head
    vocab = getattr(context.spec.modalities[segment], "vocab", 0)
    return ir.LanguageModel(segment, f"{segment}_embedding" if head.tied else None), vocab


def _loss(context: Context, name: str, answer: ir.Answer, objective: Objective) -> ir.Loss:
    loss = objective.loss or DEFAULT_LOSS[answer.name]
    if loss == "cross-entropy":
        smoothing = objective.smoothing
        return ir.Smoothed(smoothing) if smoothing else ir.CrossEntropy()
    if loss == "next-token":
        (source,) = schema.sources(context.spec.heads[name])
        value = context.values[source]
        own = next(one for one in value.segments if one.name == answer.segment)
        nodes, carried = tuple(context.nodes), context.carried(own.name)
        return ir.NextToken(objectives.told(context.spec, name, nodes, (value, own), carried))
    return ir.SquaredError() if loss == "mse" else ir.BothWays()
