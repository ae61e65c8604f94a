"""Costs of attention: products of a block, of a fusion, and the pairs they are about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mmspec.compiler import ir
from mmspec.expressions.mask import FULL
from mmspec.verify.costs.norm import norm
from mmspec.verify.costs.part import Cost, Sizes, keeps, linear, weights
from mmspec.verify.costs.polynomial import BATCH, Polynomial, total
from mmspec.verify.costs.visible import visible


def costs(sizes: Sizes, layer: ir.Attention, width: int, source: ir.Value) -> tuple[str, str, Cost]:
    """Attention of one block: its concern, its kind and its cost."""
    rows = sizes.rows(source)
    if layer.read is not None:
        return "attention", f"{layer.heads} heads", _read(sizes, layer, width, source, layer.read)
    queries, keys = layer.heads * layer.head_width, layer.kv_heads * layer.head_width
    projections = linear(rows, width, queries + 2 * keys, bias=False)
    projections += weights(sum(count for count, biased in layer.rows if biased))
    projections += linear(rows, queries, width, layer.bias)
    sunk = layer.scores is not None and layer.scores.sink
    projections += weights(layer.heads if sunk else 0)
    relative = None if layer.scores is None or layer.scores.tied else layer.scores.relative
    projections += weights(layer.heads * (relative.numbers if relative else 0))
    tokens = sizes.tokens(source)
    seen = visible_pairs(sizes, layer)
    scores = products(layer.head_width, tokens * tokens * layer.heads, seen)
    # Rotation makes queries and keys anew, in an order of axes from which `output` needs a copy.
    # Beside a sink attention goes by tiles, whose rows need none.
    rotated = (queries + keys + queries * (not sunk)) if layer.rotary else 0
    # The rows of `output` are what the fused kernel made; with them it keeps a sum for each.
    kept = keeps(rows * (queries + 2 * keys + rotated + layer.heads))
    if layer.learns:  # no fused kernel has the gradient of what is added: scores are written out
        kept = keeps(rows * (3 * queries) + BATCH * tokens * tokens * layer.heads)
    norms = _norms((rows, rows), layer)
    return "attention", f"{layer.heads} heads", projections + scores + kept + norms


def _read(sizes: Sizes, layer: ir.Attention, width: int, source: ir.Value, read: ir.Value) -> Cost:
    """Of a block's queries to another stream's tokens, which the stack keeps once for all layers.

    Where they are normed, each layer keeps its own.
    """
    rows, others = sizes.rows(source), sizes.rows(read)
    queries, keys = layer.heads * layer.head_width, layer.kv_heads * layer.head_width
    cost = linear(rows, width, queries, layer.queries_biased)
    cost += linear(others, read.width, 2 * keys, bias=False)
    cost += weights(sum(count for count, biased in layer.key_rows if biased))
    cost += linear(rows, queries, width, layer.bias)
    cost += weights(layer.heads if layer.scores is not None and layer.scores.sink else 0)
    if layer.key_norm is not None:
        cost += norm(others, read.width, layer.key_norm)
    pairs = sizes.tokens(source) * sizes.tokens(read) * layer.heads
    cost += products(layer.head_width, pairs, visible_pairs(sizes, layer))
    cost += keeps(rows * (queries + layer.heads) + others * (2 * keys - read.width))
    return cost + _norms((rows, others), layer)


def _norms(sides: tuple[Polynomial, Polynomial], layer: ir.Attention) -> Cost:
    """Norms of queries and keys; what they read is kept as what `qkv` made."""
    if layer.scores is None or layer.scores.norm is None:
        return Cost()
    cost, width = Cost(), layer.head_width
    for rows, heads in zip(sides, (layer.heads, layer.kv_heads), strict=True):
        times, of = (1, heads * width) if layer.scores.together else (heads, width)
        cost += norm(rows * times, of, layer.scores.norm) + keeps(rows * (-times * of))
        # Without rotary attention keeps what they made.
        cost += keeps(rows * (0 if layer.rotary else times * of))
    # Where queries stand head by head, `output` needs a copy of what is read.
    by_head = layer.scores.norm.in_order and not layer.scores.together
    copied = by_head and not layer.rotary
    return cost + keeps(sides[0] * (layer.heads * width if copied else 0))


def products(width: int, pairs: Polynomial, seen: Polynomial) -> Cost:
    """Scores and their product with the values, width of a head: of all pairs, and of those seen.

    Pairs are those of all heads.
    """
    return Cost(dense=BATCH * pairs * (4 * width), useful=BATCH * seen * (4 * width))


def visible_pairs(sizes: Sizes, site: ir.Attention) -> Polynomial:
    """Pairs that the masks let all heads together see in one sample."""
    of_query = {segment.name: segment for segment in site.queries}
    of_key = {segment.name: segment for segment in site.keys}
    found = []
    for group in site.groups:
        whole: dict[str, list[ir.Segment]] = {}
        for query, key, mask in group.masks:
            if mask == FULL:
                whole.setdefault(query, []).append(of_key[key])
                continue
            ends = of_query[query], of_key[key]
            pairs = visible(*ends, mask, (sizes.size(ends[0]), sizes.size(ends[1])))
            found.append(pairs * group.heads)
        for keys, queries in _alike(whole):
            pairs = sizes.among(map(of_query.__getitem__, queries)) * sizes.among(keys)
            found.append(pairs * group.heads)
    return total(found)


def _alike(seen: Mapping[str, list[ir.Segment]]) -> Iterator[tuple[list[ir.Segment], list[str]]]:
    """Keys, and the queries that see all of them."""
    queries: dict[tuple[str, ...], list[str]] = {}
    for query, keys in seen.items():
        queries.setdefault(tuple(key.name for key in keys), []).append(query)
    return ((seen[alike[0]], alike) for alike in queries.values())


def cross(sizes: Sizes, node: ir.Fuse, site: ir.Attention) -> Cost:
    """Attention of a fusion's queries to its context.

    The queries are the first source, or learned ones, which are parameters and not kept.
    """
    width, context = node.out.width, node.others
    rows, keys = sizes.rows(node.out), sizes.rows(*context)
    pairs = sizes.tokens(node.out) * sizes.tokens(*context) * site.heads
    read = sizes.keep(node.kept[0]) if node.kept else rows * 0
    cost = linear(rows, width, width, bias=True) + linear(keys, width, 2 * width, bias=True)
    cost += linear(rows, width, width, bias=False)
    cost += products(site.head_width, pairs, visible_pairs(sizes, site))
    norms = Cost(4 * width, 4 * width, kept=rows * 2 + keys * (width + 2) + read)
    return cost + norms + keeps(rows * (width + site.heads) + keys * (2 * width))
