"""Costs of fusions."""

from __future__ import annotations

from collections.abc import Iterator

from mmspec.compiler import ir
from mmspec.verify.costs import attention, stream
from mmspec.verify.costs.part import Cost, Part, Sizes, keeps, linear, weights
from mmspec.verify.costs.polynomial import BATCH, total


def costs(sizes: Sizes, node: ir.Fuse) -> Iterator[Part]:
    """Costs of one fusion; joining tokens in one sequence costs nothing."""
    if node.module is None:
        return
    if node.kind == "transformer":
        yield from _transformer(sizes, node)
        return
    layers = {"gated": _gated, "attention": _latents, "cross-attention": _cross}
    yield layers[node.kind](sizes, node).part(node.module, "fusion", node.kind, node.stream)


def _gated(sizes: Sizes, node: ir.Fuse) -> Cost:
    """A gate from the means of all sources: its softmax, and with 0 where a source is absent.

    Tokens times gates keep both.
    """
    width = node.out.width * len(node.sources)
    gates = keeps(2 * BATCH * width)
    return linear(BATCH, width, width, bias=True) + gates + _kept(sizes, node.sources)


def _kept(sizes: Sizes, values: tuple[ir.Value, ...]) -> Cost:
    return keeps(total(sizes.keep(value) for value in values))


def _latents(sizes: Sizes, node: ir.Fuse) -> Cost:
    return weights(node.queries * node.out.width) + attention.cross(sizes, node, None)


def _cross(sizes: Sizes, node: ir.Fuse) -> Cost:
    seen = attention.visible_pairs(sizes, node.groups, node.sources[0], node.sources[1:])
    return attention.cross(sizes, node, seen)


def _transformer(sizes: Sizes, node: ir.Fuse) -> Iterator[Part]:
    """A mark for each source, then blocks over all tokens."""
    assert node.module is not None
    marks = weights(len(node.sources) * node.out.width)
    yield marks.part(node.module, "fusion", node.kind, node.stream)
    joined = ir.Value(f"{node.out.name}.marked", node.out.segments, node.out.width)
    run = stream.Run(node.module, node.stream, len(node.blocks))
    yield from stream.blocks(sizes, node.blocks[0], joined, run, Cost())
