"""Drawn blocks: which keys random attention sees, the same on every machine."""

from __future__ import annotations

import torch
from torch import Tensor


def random_blocks(
    queries: int, keys: int, draws: tuple[int, int], seed: int, device: torch.device
) -> Tensor:
    """Different blocks of 64 keys for each 64 queries (R. Floyd): bool [Tq, Tk].

    draws: how many blocks each sees, of how many J that there can be, so that neither padding nor
    growth draws anew. Draw t of block i is below J - blocks + t + 1; where that block is taken
    already, the last of them is.
    """
    blocks, there = draws
    if blocks >= there:
        return torch.ones(queries, keys, dtype=torch.bool, device=device)
    row_q = torch.arange(queries, device=device) // 64
    column_j = torch.arange(there, device=device)
    shown_qj = row_q[:, None] + column_j < 0
    for draw in range(blocks):
        number_q = mixed(mixed(mixed(torch.full_like(row_q, seed)) ^ row_q) ^ draw)
        top = there - blocks + draw
        half_q, last_q = number_q >> 1 & 0x7FFFFFFFFFFFFFFF, number_q & 1
        pick_q = (half_q % (top + 1) * 2 + last_q) % (top + 1)
        taken_q = shown_qj.gather(1, pick_q[:, None])[:, 0]
        shown_qj = shown_qj | (column_j == torch.where(taken_q, top, pick_q)[:, None])
    return shown_qj[:, torch.arange(keys, device=device) // 64]


def mixed(number: Tensor) -> Tensor:
    """Numbers of 64 bits that look random: the output step of SplitMix64; products wrap."""
    number = number - 0x61C8864680B583EB
    number = (number ^ (number >> 30 & 0x3FFFFFFFF)) * -0x40A7B892E31B1A47
    number = (number ^ (number >> 27 & 0x1FFFFFFFFF)) * -0x6B2FB644ECCEEE15
    return number ^ (number >> 31 & 0x1FFFFFFFF)
