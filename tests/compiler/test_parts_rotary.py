"""Rotary positions of other bases, scalings and pairs, against numbers and loops."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from part_case import attention, filled, normal, same

from mmspec.compiler import ir
from mmspec.compiler.parts.attention import Attention
from mmspec.compiler.parts.rotary import Rotation, rates_of, rotate, rotation_by

USUAL = ir.Rotary(8, 10000.0, interleaved=False, scaling=None)
CPU = torch.device("cpu")


def published(rate: float, factor: float, length: int, low: float, high: float) -> float:
    """Llama 3's rule as its authors wrote it, with wavelengths."""
    wavelength = 2 * math.pi / rate
    if wavelength < length / high:
        return rate
    if wavelength > length / low:
        return rate / factor
    smooth = (length / wavelength - low) / (high - low)
    return (1 - smooth) * rate / factor + smooth * rate


def test_the_rates_are_powers_of_the_base() -> None:
    found = rates_of(replace(USUAL, base=16.0), CPU)
    same(found, torch.tensor([1, 0.5, 0.25, 0.125], dtype=torch.float64))
    halved = rates_of(replace(USUAL, base=16.0, scaling=ir.Linear(4.0)), CPU)
    same(halved, torch.tensor([0.25, 0.125, 0.0625, 0.03125], dtype=torch.float64))


def test_slow_turns_are_slower_as_published() -> None:
    rotary = ir.Rotary(128, 500000.0, interleaved=False, scaling=ir.Llama3(8.0, 8192, 1.0, 4.0))
    plain = [500000.0 ** (-i / 64) for i in range(64)]
    wanted = [published(rate, 8.0, 8192, 1.0, 4.0) for rate in plain]
    kinds = {(w == p, w == p / 8) for w, p in zip(wanted, plain, strict=True)}
    assert len(kinds) == 3, "fast, slow and between"
    same(rates_of(rotary, CPU), torch.tensor(wanted, dtype=torch.float64))


@pytest.mark.parametrize("positions", [9, 0])
def test_tables_are_those_of_the_rates(positions: int) -> None:
    rotary = replace(USUAL, base=100.0)
    part = Rotation(positions, rotary).double()
    at = torch.tensor([[3, 0], [7, 8]])
    for i, (cos, sin) in enumerate(zip(*(x.unbind(-1) for x in part(at)), strict=True)):
        rate = 100 ** (-i / 4)
        for found, function in ((cos, math.cos), (sin, math.sin)):
            wanted = [[function(t * rate) for t in row] for row in at.tolist()]
            same(found, torch.tensor(wanted, dtype=torch.float64))


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("width", [8, 4, 2])
def test_pairs_of_queries_and_keys_turn_and_nothing_else(width: int, interleaved: bool) -> None:
    """As rotating x, turned back to halves by an order of features, by numbers one by one."""
    rotary = ir.Rotary(width, 50.0, interleaved, None)
    part = filled(Attention(12, replace(attention(2, 1, 8), rotary=rotary)))
    x, places = normal(1, 3, 12), torch.tensor([0, 2, 5])
    found = part(x, None, rotation_by(places, rates_of(rotary, CPU)), None, ())
    qkv = part.qkv(x)[0]
    heads = [
        [turned(qkv[t, 8 * h : 8 * h + 8], int(places[t]), rotary) for t in range(3)]
        for h in range(3)
    ]
    out = []
    for t in range(3):
        joined = []
        for head in heads[:2]:
            scores = torch.stack([head[t] @ key for key in heads[2]]) / 8**0.5
            joined.append(scores.softmax(0) @ qkv[:, 24:])
        out.append(part.output(torch.cat(joined)))
    same(found[0], torch.stack(out))


def turned(x: torch.Tensor, place: int, rotary: ir.Rotary) -> torch.Tensor:
    """One head of one token, pair by pair."""
    values, half = x.tolist(), rotary.width // 2
    for i in range(half):
        a, b = (2 * i, 2 * i + 1) if rotary.interleaved else (i, i + half)
        number = complex(values[a], values[b])
        number *= math.e ** (1j * place * rotary.base ** (-2 * i / rotary.width))
        values[a], values[b] = number.real, number.imag
    return torch.tensor(values, dtype=torch.float64)


def test_the_usual_pairs_are_those_of_rotate() -> None:
    x = normal(1, 1, 4, 8)
    tables = rotation_by(torch.arange(4), rates_of(USUAL, CPU))
    wanted = [turned(x[0, 0, t], t, USUAL) for t in range(4)]
    same(rotate(x, tables)[0, 0], torch.stack(wanted))
