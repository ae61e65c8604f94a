"""Costs of streams: projections of their sources, and the blocks and norms of a stack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from mmspec.compiler import ir
from mmspec.verify.costs import attention, halting, routing
from mmspec.verify.costs.norm import norm
from mmspec.verify.costs.part import NOTHING, Cost, Part, Sizes, keeps, linear, weights
from mmspec.verify.costs.path import gives, path, reads
from mmspec.verify.costs.polynomial import total


@dataclass(frozen=True, slots=True)
class Run:
    """How blocks are run: `depth` of them, the whole `steps` times, `share` of it expected."""

    module: str
    owner: str
    depth: int
    steps: int = 1
    share: Fraction = Fraction(1)


def project(sizes: Sizes, node: ir.Project) -> Part:
    """Cost of bringing a stream to another width, or through its steps."""
    if node.through:
        cost = path(sizes.rows(node.source), node.through, 1, 1)
        cost += keeps(sizes.keep(node.source) if reads(node.through[0]) else NOTHING)
        if gives(node.through[-1]):
            sizes.kept.add(node.out.name)
        return cost.part(node.module, "stream", "path", node.stream)
    cost = linear(sizes.rows(node.source), node.source.width, node.out.width, bias=True)
    cost = replace(cost, kept=sizes.keep(node.source))
    return cost.part(node.module, "stream", "linear", node.stream)


def stack(sizes: Sizes, node: ir.Stack) -> Iterator[Part]:
    """Costs of a stream's blocks, norms and halting, as executed in training."""
    steps, share = halting.steps(node)
    run = Run(node.module, node.stream, node.depth, steps, share)
    once = entered(sizes, node.source)
    once += keeps(total(sizes.keep(value) for value in node.contexts))
    if node.common is not None:
        once += weights(node.common.heads * node.common.relative.numbers)
    if node.final_norm:
        once += _final_norm(sizes, node, node.final_norm)
    if not node.variants:
        yield once.part(node.module, "stream", "no layers", node.stream)
    for number, (block, depth) in enumerate(node.runs()):
        whole = replace(run, depth=depth)
        yield from blocks(sizes, block, node.source, whole, Cost() if number else once)
    yield from halting.costs(sizes, node)


def entered(sizes: Sizes, source: ir.Value) -> Cost:
    """What is kept of what a stack reads, beside the tokens that its first norm counts."""
    return keeps(sizes.keep(source) - sizes.rows(source) * source.width)


def blocks(sizes: Sizes, block: ir.Block, source: ir.Value, run: Run, once: Cost) -> Iterator[Part]:
    """Costs of equal blocks over a value: norms (with what is there once), then each sub-layer."""
    rows, width, each = sizes.rows(source), block.width, Cost()
    for one in block.sublayers:
        for placed in one.norms:
            each += norm(rows, width, placed)
        if one.joins:  # what it reads is kept once, for all that read it
            each += keeps(rows * -width)
        each += keeps(rows * (width if one.dropout > 0 else 0))
    norms = each.repeated(run.depth, run.steps) + once
    kinds = [placed.name for one in block.sublayers for placed in one.norms]
    yield norms.part(run.module, "stream", kinds[0] if kinds else "no norm", run.owner)
    for one in block.sublayers:
        mixer = one.mixer
        if isinstance(mixer, ir.Attention):
            concern, kind, cost = attention.costs(sizes, mixer, width, source)
        else:
            concern, kind, cost = routing.costs(sizes, mixer, width, source)
        if one.weighed is not None:
            cost += weights(width if isinstance(one.weighed, ir.LayerScale) else 1)
            cost += keeps(rows * width)
        cost = cost.repeated(run.depth, run.steps)
        path = f"{run.module}.blocks.*.{one.name}"
        yield cost.part(path, concern, kind, run.owner, run.share)


def _final_norm(sizes: Sizes, node: ir.Stack, last: ir.Norm) -> Cost:
    """The last norm, at every exit or step; the next block keeps the input of all but the last."""
    rows, width, times = sizes.rows(node.source), node.out.width, halting.ends(node)
    once = norm(rows, width, last)
    return once.repeated(1, times) + keeps(rows * (-width * (times - 1)))
