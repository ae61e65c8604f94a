"""Spec -> Plan: nodes in execution order, masks by pair, every default written out."""

from __future__ import annotations

from mmspec.compiler import ir
from mmspec.compiler.lower import fusion, head, init, modality, packing, stream
from mmspec.compiler.lower.context import Context
from mmspec.diagnostics import Diagnostic, MmspecError
from mmspec.schema.spec import Spec
from mmspec.schema.wiring import resolve


def lower(spec: Spec) -> ir.Plan:
    """Lower a valid spec; the Plan holds all that the emitter, costs and flow need.

    Raises MmspecError with every head that sees all it is trained on.
    """
    context = Context(spec, resolve(spec))
    inputs = tuple(modality.lower_input(context, name) for name in spec.modalities)
    for name in context.wiring.order:
        sources = tuple(stream.lower_source(context, name, x) for x in context.wiring.sources[name])
        stream.lower_stack(context, name, fusion.lower(context, name, sources))
    context.separate = packing.separate(tuple(context.nodes))
    heads = _heads(context)
    return ir.Plan(
        name=spec.name,
        class_name=spec.class_name,
        about=spec.about,
        inputs=inputs,
        nodes=tuple(context.nodes),
        heads=heads,
        separate=context.separate,
        init=init.lower(spec.init),
    )


def _heads(context: Context) -> tuple[ir.Head, ...]:
    heads: list[ir.Head] = []
    problems: list[Diagnostic] = []
    for name in context.spec.heads:
        try:
            heads.append(head.lower(context, name))
        except MmspecError as error:
            problems.extend(error.diagnostics)
    if problems:
        raise MmspecError(problems)
    return tuple(heads)
