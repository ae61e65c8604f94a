"""Scores: what becomes of q and k of each head, by the formulas of docs/language.md."""

from __future__ import annotations

from math import log2

import torch
from torch import Tensor

from mmspec.schema.bias import Bias, Role, has_bias
from mmspec.schema.scores import Alibi, Buckets, HeadNorm, Offsets, Scores
from mmspec.verify.reference import norm
from mmspec.verify.reference.arithmetic import Shapes, Weights


def added(
    scores: Scores, heads: int, counts: tuple[tuple[str, int], ...], numbers: Tensor | None = None
) -> list[Tensor]:
    """For each head what is added to the score of each query and key [n, n] of a sequence.

    counts: its segments by name with their numbers of tokens, in order. numbers [m, heads]: those
    that are learned, if any are.
    """
    found: list[Tensor] = []
    for head in range(heads):
        own = None if numbers is None else numbers[:, head]
        rows = [[_piece(scores, (head, heads), q, k, own) for k in counts] for q in counts]
        found.append(torch.cat([torch.cat(row, 1) for row in rows]))
    return found


def normed(heads: list[Tensor], w: Weights, of: HeadNorm, bias: bool) -> list[Tensor]:
    """Queries or keys [n, w] of each head, normed by themselves or as one row."""
    if of.over == "heads":
        whole = norm.normalise(torch.cat(heads, 1), w, of.norm, bias)
        return [*whole.split(heads[0].shape[1], 1)]
    return [*norm.normalise(torch.stack(heads), w, of.norm, bias)]


def shapes(of: HeadNorm, width: int, bias: Bias, rows: dict[Role, int]) -> Shapes:
    """Names and shapes of the norms' weights; rows: features of all heads by role."""
    found: Shapes = {}
    for role in ("query", "key"):
        size = rows[role] if of.over == "heads" else width
        biased = has_bias(bias, "norm")
        found |= norm.shapes(f"{role}_norm", size, of.norm, biased)
    return found


def learned(scores: Scores | None) -> int:
    """How many numbers of each head relative scores learn."""
    kinds = () if scores is None else tuple(scores.kinds())
    for kind in kinds:
        if isinstance(kind, Buckets):
            return kind.count
        if isinstance(kind, Offsets):
            return 2 * kind.reach + 1
    return 0


def _piece(
    scores: Scores,
    head: tuple[int, int],
    query: tuple[str, int],
    key: tuple[str, int],
    numbers: Tensor | None,
) -> Tensor:
    """Of the tokens of two segments; head: which, of how many; numbers: what it has learned."""
    kind = scores.between(query[0], key[0])
    q, k = (torch.arange(count, dtype=torch.float64) for _, count in (query, key))
    if isinstance(kind, Alibi):
        return -slopes(head[1])[head[0]] * (q[:, None] - k[None, :]).abs()
    if kind is None:
        return torch.zeros(len(q), len(k), dtype=torch.float64)
    assert numbers is not None
    assert isinstance(kind, Buckets | Offsets), kind

    def row(distance: int) -> int:
        return _bucket(kind, distance) if isinstance(kind, Buckets) else _offset(kind, distance)

    places = [[row(i - j) for j in range(len(k))] for i in range(len(q))]
    return numbers[torch.tensor(places, dtype=torch.int64).view(len(q), len(k))]


def _offset(kind: Offsets, distance: int) -> int:
    """The number for a distance, earlier keys the last ones."""
    return min(max(distance, -kind.reach), kind.reach) + kind.reach


def _bucket(kind: Buckets, distance: int) -> int:
    """The range that a distance falls into (Raffel et al. 2020, section 2.1)."""
    ranges = kind.count // kind.sides
    if distance < 0:
        return ranges + _range(kind, ranges, -distance) if kind.sides == 2 else 0
    return _range(kind, ranges, distance)


def _range(kind: Buckets, ranges: int, distance: int) -> int:
    """The first half of them have one distance each, the others ever more, up to `reach`."""
    near = ranges // 2
    if distance < near:
        return distance
    far, found = ranges - near, near
    # whether log(d / near) / log(reach / near) * far >= j, in whole numbers
    while found < ranges - 1 and distance**far * near ** (found + 1 - near) >= (
        near**far * kind.reach ** (found + 1 - near)
    ):
        found += 1
    return found


def slopes(heads: int) -> list[float]:
    """A geometric series, filled up from that of twice as many (Press et al. 2022)."""
    if log2(heads).is_integer():
        first = 2 ** (-(2 ** -(log2(heads) - 3)))
        return [first ** (head + 1) for head in range(heads)]
    below = 2 ** int(log2(heads))
    return slopes(below) + slopes(2 * below)[0::2][: heads - below]
