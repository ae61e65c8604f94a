"""Costs of attention: products of a block, of a fusion, and the pairs they are about."""

from __future__ import annotations

from mmspec.compiler import ir
from mmspec.verify.costs.part import Cost, Sizes, keeps, linear
from mmspec.verify.costs.polynomial import BATCH, Polynomial, total
from mmspec.verify.costs.visible import visible


def costs(sizes: Sizes, block: ir.Block, source: ir.Value) -> tuple[str, str, Cost]:
    """Self-attention of one block: its concern, its kind and its cost."""
    layer, rows = block.attention, sizes.rows(source)
    queries, keys = layer.heads * layer.head_width, layer.kv_heads * layer.head_width
    projections = linear(rows, block.width, queries + 2 * keys, layer.bias)
    projections += linear(rows, queries, block.width, layer.bias)
    tokens = sizes.tokens(source)
    seen = visible_pairs(sizes, layer.groups, source, (source,))
    scores = products(layer.head_width, tokens * tokens * layer.heads, seen)
    # Rotation makes queries and keys anew, in an order of axes from which `output` needs a copy.
    rotated = 2 * queries + keys if layer.rotary else 0
    # The rows of `output` are what the fused kernel made; with them it keeps a sum for each.
    kept = keeps(rows * (queries + 2 * keys + rotated + layer.heads))
    return "attention", f"{layer.heads} heads", projections + scores + kept


def products(width: int, pairs: Polynomial, seen: Polynomial) -> Cost:
    """Scores and their product with the values, width of a head: of all pairs, and of those seen.

    Pairs are those of all heads.
    """
    return Cost(dense=BATCH * pairs * (4 * width), useful=BATCH * seen * (4 * width))


def visible_pairs(
    sizes: Sizes,
    groups: tuple[ir.Group, ...],
    queries: ir.Value,
    keys: tuple[ir.Value, ...],
) -> Polynomial:
    """Pairs that the masks let all heads together see in one sample."""
    of_query = {segment.name: segment for segment in queries.segments}
    of_key = {segment.name: segment for value in keys for segment in value.segments}
    found = []
    for group in groups:
        for query, key, mask in group.masks:
            ends = of_query[query], of_key[key]
            pairs = visible(*ends, mask, (sizes.size(ends[0]), sizes.size(ends[1])))
            found.append(pairs * group.heads)
    return total(found)


def cross(sizes: Sizes, node: ir.Fuse, seen: Polynomial | None) -> Cost:
    """Attention of a fusion's queries to its context; `seen`, by all heads; None: all of it.

    The queries are the first source, or learned ones, which are parameters and not kept.
    """
    width, learned = node.out.width, node.queries > 0
    queries, context = (node.out,), node.sources if learned else node.sources[1:]
    rows, keys = sizes.rows(*queries), sizes.rows(*context)
    pairs = sizes.tokens(*queries) * sizes.tokens(*context) * node.heads
    read = _queries(sizes, node, rows)
    cost = linear(rows, width, width, bias=True) + linear(keys, width, 2 * width, bias=True)
    cost += linear(rows, width, width, bias=False)
    cost += products(width // node.heads, pairs, pairs if seen is None else seen)
    norms = Cost(4 * width, 4 * width, kept=rows * 2 + keys * (width + 2) + read)
    return cost + norms + keeps(rows * (width + node.heads) + keys * (2 * width))


def _queries(sizes: Sizes, node: ir.Fuse, rows: Polynomial) -> Polynomial:
    return rows * 0 if node.queries else sizes.keep(node.sources[0])
