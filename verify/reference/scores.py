"""Scores: what becomes of q and k of each head, by the formulas of docs/language.md."""

from __future__ import annotations

from math import log2

import torch
from torch import Tensor

from mmspec.schema.bias import Bias, Role, has_bias
from mmspec.schema.scores import Alibi, HeadNorm, Scores
from mmspec.verify.reference import norm
from mmspec.verify.reference.arithmetic import Shapes, Weights


def added(scores: Scores, heads: int, counts: tuple[tuple[str, int], ...]) -> list[Tensor]:
    """For each head what is added to the score of each query and key [n, n] of a sequence.

    counts: its segments by name with their numbers of tokens, in order.
    """
    found: list[Tensor] = []
    for head in range(heads):
        rows = [[_piece(scores, (head, heads), q, k) for k in counts] for q in counts]
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


def _piece(
    scores: Scores, head: tuple[int, int], query: tuple[str, int], key: tuple[str, int]
) -> Tensor:
    """Of the tokens of two segments; head: which, of how many."""
    kind = scores.between(query[0], key[0])
    q, k = (torch.arange(count, dtype=torch.float64) for _, count in (query, key))
    if isinstance(kind, Alibi):
        return -slopes(head[1])[head[0]] * (q[:, None] - k[None, :]).abs()
    return torch.zeros(len(q), len(k), dtype=torch.float64)


def slopes(heads: int) -> list[float]:
    """A geometric series, filled up from that of twice as many (Press et al. 2022)."""
    if log2(heads).is_integer():
        first = 2 ** (-(2 ** -(log2(heads) - 3)))
        return [first ** (head + 1) for head in range(heads)]
    below = 2 ** int(log2(heads))
    return slopes(below) + slopes(2 * below)[0::2][: heads - below]
