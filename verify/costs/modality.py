"""Costs of embeddings: a product for pixels and frames, none for a look-up or a column."""

from __future__ import annotations

from dataclasses import replace

from mmspec.compiler import ir
from mmspec.verify.costs.norm import norm
from mmspec.verify.costs.part import NOTHING, Cost, Part, Sizes, keeps, linear, weights
from mmspec.verify.costs.path import path
from mmspec.verify.costs.polynomial import BATCH


def costs(sizes: Sizes, node: ir.Embed) -> Part:
    """Cost of one embedding."""
    position, width = node.sum.position, node.out.width
    learned = position.kind == "learned"
    positions = node.sum.lead + node.own.tokens.max + position.offset if learned else 0
    cost = _tokens(sizes, node) + weights((positions + node.sum.lead) * width)
    for one in node.sum.added:
        cost += weights(one.codes * width)
        if one.numbers:
            mapped = linear(BATCH * sizes.among([node.own]), one.numbers, width, one.biased)
            cost += replace(mapped, kept=NOTHING)
    if node.sum.norm is not None:
        cost += norm(sizes.rows(node.out), width, node.sum.norm)
    return cost.part(node.module, "modality", node.raw.name, node.stream)


def _tokens(sizes: Sizes, node: ir.Embed) -> Cost:
    raw, width = node.raw, node.out.width
    if isinstance(raw, ir.Ids):
        own = 0 if node.table else raw.vocab * width
        return weights(own) + _ngrams(sizes, node, raw.ngrams)
    if isinstance(raw, ir.Row):
        present = node.modality not in sizes.absent
        return _table(raw.columns, width, node.biased) + keeps(
            BATCH * (raw.columns.count(0) * present)
        )
    if isinstance(raw, ir.Picture) and raw.stem:
        samples = BATCH * (node.modality not in sizes.absent)
        return path(samples, raw.stem, raw.height, raw.breadth)
    if isinstance(raw, ir.Frames) and raw.stem:
        return path(BATCH * sizes.among([node.own]), raw.stem, raw.patch, 1)
    cost = linear(BATCH * sizes.among([node.own]), raw.inputs, width, bias=node.biased)
    if isinstance(raw, ir.Frames) and raw.patch == 1:
        return Cost(cost.parameters, cost.active, cost.dense, cost.useful)
    return cost


def _ngrams(sizes: Sizes, node: ir.Embed, ngrams: ir.Ngrams | None) -> Cost:
    """A row of each run, by which of them were left out."""
    if ngrams is None:
        return Cost()
    dropped = sizes.rows(node.out) * (ngrams.runs if ngrams.dropout else 0)
    return weights(ngrams.rows * node.out.width) + keeps(dropped)


def _table(columns: tuple[int, ...], width: int, bias: bool) -> Cost:
    """Number columns times a row of weights (elementwise), category columns a look-up."""
    return weights(((1 + bias) * columns.count(0) + sum(columns)) * width)
