"""Costs of fusions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mmspec.compiler import ir
from mmspec.compiler.ir.fusion import Bilinear, Blend, Film, SigmoidGated
from mmspec.verify.costs import attention, stream
from mmspec.verify.costs.part import Cost, Part, Sizes, keeps, linear, weights
from mmspec.verify.costs.polynomial import BATCH, total


def costs(sizes: Sizes, node: ir.Fuse) -> Iterator[Part]:
    """Costs of one fusion; joining tokens in one sequence costs nothing."""
    match node.fusion:
        case ir.Concat():
            return
        case ir.Gated():
            yield _whole(node, _gated(sizes, node))
        case ir.Latents(queries=queries, attention=site):
            learned = weights(queries * node.out.width)
            yield _whole(node, learned + attention.cross(sizes, node, site))
        case ir.CrossAttention(attention=site):
            yield _whole(node, attention.cross(sizes, node, site))
        case Film():
            yield _whole(node, _film(sizes, node))
        case Blend() as fusion:
            yield _whole(node, _blended(sizes, node, fusion))
        case ir.Transformer(block=block, depth=depth):
            yield _whole(node, weights(len(node.sources) * node.out.width))
            joined = replace(node.out, name=f"{node.out.name}.marked")
            run = stream.Run(node.module or "", node.stream, depth)
            yield from stream.blocks(sizes, block, joined, run, stream.entered(sizes, joined))


def _whole(node: ir.Fuse, cost: Cost) -> Part:
    return cost.part(node.module or "", "fusion", node.fusion.name, node.stream)


def _gated(sizes: Sizes, node: ir.Fuse) -> Cost:
    """A gate from the means of all sources: its softmax, and with 0 where a source is absent.

    Tokens times gates keep both.
    """
    width = node.out.width * len(node.sources)
    gates = keeps(2 * BATCH * width)
    return linear(BATCH, width, width, bias=True) + gates + _kept(sizes, node.sources)


def _blended(sizes: Sizes, node: ir.Fuse, fusion: Blend) -> Cost:
    """Of one vector a source, or of each token of the first and of one of the others."""
    first = None if fusion.pooled else node.sources[0]
    rows = [BATCH for _ in node.sources]
    rows[0] = BATCH if first is None else sizes.rows(first)
    width, longest = node.out.width, rows[0]
    match fusion:
        case SigmoidGated():
            cost = sum((linear(each, width, width, bias=True) for each in rows), Cost())
            cost += keeps(total(each * width for each in rows))
        case Bilinear(rank=rank):
            cost = sum((linear(each, width, rank, bias=True) for each in rows), Cost())
            cost += linear(longest, rank, width, bias=False)
            cost += keeps(total(each * rank for each in rows) + longest * rank * (len(rows) - 2))
        case _:
            cost = sum((linear(each, width, 1, bias=False) for each in rows), Cost())
            cost = replace(cost, parameters=width, active=width)
            cost += keeps(longest * 2 * len(rows))
    if first is None:
        return cost
    return cost + keeps(sizes.keep(first) - longest * width)


def _film(sizes: Sizes, node: ir.Fuse) -> Cost:
    """Scale and shift from the mean of the other sources; tokens times the scale keep both."""
    width = node.out.width
    change = linear(BATCH, width, 2 * width, bias=True)
    return change + keeps(BATCH * width) + _kept(sizes, node.kept)


def _kept(sizes: Sizes, values: tuple[ir.Value, ...]) -> Cost:
    return keeps(total(sizes.keep(value) for value in values))
