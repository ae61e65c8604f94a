"""Costs of embeddings: a product for pixels and frames, none for a look-up or a column."""

from __future__ import annotations

from mmspec.compiler import ir
from mmspec.verify.costs.part import Cost, Part, Sizes, keeps, linear, weights
from mmspec.verify.costs.polynomial import BATCH


def costs(sizes: Sizes, node: ir.Embed) -> Part:
    """Cost of one embedding."""
    positions = node.out.segments[0].tokens.max if node.position == "learned" else 0
    cost = _tokens(sizes, node) + weights(positions * node.out.width)
    return cost.part(node.module, "modality", node.kind, node.stream)


def _tokens(sizes: Sizes, node: ir.Embed) -> Cost:
    width = node.out.width
    if node.kind == "tokens":
        return weights(node.features * width)
    if node.kind == "table":
        return _table(sizes, node)
    square = node.kind in ("image", "video")
    numbers = node.features * node.tubelet * node.patch ** (2 if square else 1)
    cost = linear(sizes.rows(node.out), numbers, width, bias=True)
    if not square and node.patch == 1:
        return Cost(cost.parameters, cost.active, cost.dense, cost.useful)
    return cost


def _table(sizes: Sizes, node: ir.Embed) -> Cost:
    """Number columns times a row of weights (elementwise), category columns a look-up."""
    numbers = sum(column == 0 for column in node.columns)
    present = node.modality not in sizes.absent
    rows = 2 * numbers + sum(node.columns)
    return weights(rows * node.out.width) + keeps(BATCH * (numbers * present))
