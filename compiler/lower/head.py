"""Heads and their objectives -> IR."""

from __future__ import annotations

from mmspec.compiler import ir
from mmspec.compiler.lower import objective as objectives
from mmspec.compiler.lower import path
from mmspec.compiler.lower.context import Context
from mmspec.schema import head as schema
from mmspec.schema.check import token_segment
from mmspec.schema.check_tables import table_of
from mmspec.schema.objective import Objective
from mmspec.schema.pool import is_mean, leads, mark


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
        return ir.Classifier(*_pooled(context, head)), head.classes
    if isinstance(head, schema.Regressor):
        return ir.Regressor(*_pooled(context, head)), head.outputs
    if isinstance(head, schema.Contrastive):
        sides = zip(head.source, head.pools, strict=True)
        (one, ones), (other, others) = (_pool(context.values[s], pool) for s, pool in sides)
        return ir.Contrastive(head.temperature, (one, other), (ones, others)), head.width
    segment = token_segment(context.spec, context.wiring, head)
    assert segment is not None, head
    vocab = getattr(context.spec.modalities[segment], "vocab", 0)
    table = f"{table_of(context.spec, segment)}_embedding" if head.tied else None
    steps = _path(context, head)
    return ir.LanguageModel(segment, table, head.scale, steps, head.bias), vocab


def _pooled(
    context: Context, head: schema.Classifier | schema.Regressor
) -> tuple[str, ir.Taken, ir.Path]:
    """How tokens become one, which, and what that goes through."""
    return *_pool(context.values[head.source], head.pool), _path(context, head)


def _path(
    context: Context, head: schema.Classifier | schema.Regressor | schema.LanguageModel
) -> ir.Path:
    """The steps of a head of one stream."""
    width = context.spec.streams[head.source].width
    return path.lower(head.through, path.Given(width, first=False))


def _pool(value: ir.Value, pool: str) -> tuple[str, ir.Taken]:
    """How tokens of a stream become one, and which."""
    led = [segment for segment in value.segments if segment.leads]
    if read := leads(pool):
        named = (s.name for s in led if s.said.partition(".")[2] in read)
        return "mean" if is_mean(pool) else "first", ir.Taken(tuple(named))
    own = tuple(s.name for s in value.segments if s.leads is None) if led else ()
    found = mark(pool)
    return pool if found is None else "first", ir.Taken(own, found)


def _loss(context: Context, name: str, answer: ir.Answer, objective: Objective) -> ir.Loss:
    loss = context.spec.loss_of(name)
    if loss == "cross-entropy":
        smoothing = objective.smoothing
        return ir.Smoothed(smoothing) if smoothing else ir.CrossEntropy()
    if loss == "next-token":
        (source,) = schema.sources(context.spec.heads[name])
        value = context.values[source]
        own = next(one for one in value.segments if one.name == answer.segment)
        nodes, carried = tuple(context.nodes), context.carried(own.name)
        return ir.NextToken(objectives.told(context.spec, name, nodes, (value, own), carried))
    if loss == "masked":
        return ir.Masked()
    return ir.SquaredError() if loss == "mse" else ir.BothWays()
