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
    segment, tied, told = None, None, ""
    if isinstance(head, schema.LanguageModel):
        segment = token_segment(spec, context.wiring, head)
        tied = f"{segment}_embedding" if head.tied else None
        value = context.values[head.source]
        own = next(one for one in value.segments if one.name == segment)
        at = value, own
        told = objectives.told(spec, name, tuple(context.nodes), at, context.carried(own.name))
    return ir.Head(
        name=name,
        module=f"{name}_head",
        kind=head.kind,
        sources=tuple(context.values[stream] for stream in schema.sources(head)),
        size=_size(context, head, segment),
        pool=getattr(head, "pool", "mean"),
        segment=segment,
        tied=tied,
        temperature=getattr(head, "temperature", 0.0),
        loss=objective.loss or DEFAULT_LOSS[head.kind],
        weight=objective.weight,
        smoothing=objective.smoothing,
        span=spec.span("heads", name),
        told=told,
    )


def _size(context: Context, head: schema.Head, segment: str | None) -> int:
    if isinstance(head, schema.Classifier):
        return head.classes
    if isinstance(head, schema.Regressor):
        return head.outputs
    if isinstance(head, schema.Contrastive):
        return head.width
    vocab = getattr(context.spec.modalities[segment or ""], "vocab", 0)
    assert isinstance(vocab, int)
    return vocab
