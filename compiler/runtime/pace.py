"""How fast torch's kernel is on this machine beside native code, measured once and kept.

Processors differ: some multiply bfloat16 many times as fast as float32, by instructions that
torch's kernel knows and native code does not, others not at all. What is measured, in a tenth of a
second, is kept beside the native code.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmspec import private
from mmspec.compiler.runtime import native, native_build, tuning
from mmspec.compiler.runtime.native_build import stem
from mmspec.compiler.runtime.sparse_calls import ALL, Call
from mmspec.compiler.runtime.sparse_groups import GROUP, Groups
from mmspec.compiler.runtime.sparse_scores import Scores

_HALF = 0.85  # of training in bfloat16, whose backward kernel is fast on long calls only
_SURER = 1.14  # what is measured may come as near to the price of dense attention as it is
_HEADS, _TOKENS, _WIDTH = 2, 512, 64
_ROUNDS = 5
_MOST = 16.0  # times as fast or as slow as the model has it: what is beyond is no measurement


class Pace(NamedTuple):
    """What a multiply-add of torch's kernel costs beside what is assumed."""

    forward: float
    training: float

    @property
    def credible(self) -> bool:
        """Whether both can be."""
        return all(1 / _MOST <= rate <= _MOST for rate in self)


def paced(inputs: Sequence[Tensor], training: bool) -> tuple[float, bool]:
    """What a pair of dense attention costs beside what is assumed; whether native code is there.

    inputs: queries and keys. MMSPEC_TILES=1 makes dense attention too dear ever to be taken, and
    MMSPEC_TILES=0 cost nothing.
    """
    half = inputs[0].dtype == torch.bfloat16
    there = native.fits(inputs[0], inputs[1]) and native_build.library() is not None
    forced = {"0": 0.0, "1": math.inf}.get(os.environ.get("MMSPEC_TILES", ""))
    if forced is not None:
        return forced, there
    if not there:
        return (_HALF if training and half else 1.0), False
    known = pace(half)
    return _SURER * (known.training if training else known.forward), True


KNOWN: dict[bool, Pace] = {}
"""Of bfloat16 and of float32, as this process uses them; training that goes on sets them first."""


def pace(half: bool) -> Pace:
    """Of bfloat16, or of float32; native code must be there."""
    if half not in KNOWN:
        KNOWN[half] = _kept_or_measured(half)
    return KNOWN[half]


def _kept_or_measured(half: bool) -> Pace:
    """As an earlier process kept it, else measured now, and kept."""
    folder = private.cache("native")
    kind = "bfloat16" if half else "float32"
    file = None if folder is None else folder / f"{stem()}.{torch.__version__}.{kind}.json"
    kept = None if file is None else _read(file)
    if kept is not None:
        return kept
    with ThreadPoolExecutor(1) as thread:  # whose torch has no modes, casts or threads of a caller
        measured = thread.submit(_measured, torch.bfloat16 if half else torch.float32).result()
    if file is not None:
        with suppress(OSError):
            tuning.keep(file, measured._asdict())
    return measured


def _measured(dtype: torch.dtype) -> Pace:
    """By one thread's own time, the fastest of some turns."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        shape, own = (1, _HEADS, _TOKENS, _WIDTH), torch.Generator().manual_seed(0)
        inputs = [torch.randn(shape, generator=own).to(dtype) for _ in range(3)]
        forward, backward = (_fastest(turns) for turns in _turns(inputs))
    finally:
        torch.set_num_threads(threads)
    groups, call = everything(_TOKENS), Call(0, _TOKENS, ((0, _TOKENS, ALL),))
    expected = call.cost(_HEADS, _WIDTH) / groups.work(_HEADS, _WIDTH)
    both = (forward[0] + backward[0]) / (forward[1] + backward[1])
    return Pace(forward[0] / forward[1] / expected, both / expected)


def everything(tokens: int) -> Groups:
    """The groups of a mask that hides nothing; tokens: so many that all groups are full."""
    count = tokens // GROUP
    return Groups(
        tokens,
        torch.arange(0, tokens + 1, GROUP, dtype=torch.int32),
        torch.arange(count + 1),
        torch.tensor([[0, tokens, ALL]], dtype=torch.int32).repeat(count, 1),
        torch.empty(0, dtype=torch.int32),
        torch.empty(0, dtype=torch.int64),
        keys=tokens,
        met=count * tokens,
        pairs=tokens * tokens,
    )


Turn = Callable[[], object]


def _turns(inputs: Sequence[Tensor]) -> tuple[tuple[Turn, Turn], tuple[Turn, Turn]]:
    """Forward and backward by torch's kernel and by native code."""
    q, k, v = leaves = [x.requires_grad_() for x in inputs]
    y = F.scaled_dot_product_attention(q, k, v)
    grad, groups, scores = torch.ones_like(y), everything(_TOKENS), Scores(_WIDTH**-0.5)
    plain = [x.detach() for x in leaves]
    results = native.attended(plain, None, groups, scores)
    return (
        (
            lambda: F.scaled_dot_product_attention(plain[0], plain[1], plain[2]),
            lambda: native.attended(plain, None, groups, scores),
        ),
        (
            lambda: torch.autograd.grad(y, leaves, grad, retain_graph=True),
            lambda: native.gradients((*plain, grad, *results), None, groups, scores),
        ),
    )


def _fastest(turns: tuple[Turn, Turn]) -> tuple[float, float]:
    """Seconds of each, in alternation."""
    taken = [[_seconds(turn) for turn in turns] for _ in range(_ROUNDS)]
    return min(first for first, _ in taken), min(second for _, second in taken)


def _seconds(turn: Turn) -> float:
    begin = time.thread_time()
    turn()
    return max(time.thread_time() - begin, 1e-9)


def _read(file: Path) -> Pace | None:
    """What was kept; none where the file is damaged."""
    found = tuning.kept(file)
    known: dict[str, object] = found if isinstance(found, dict) else {}
    forward, training = (known.get(name) for name in Pace._fields)
    if not (isinstance(forward, float) and isinstance(training, float)):
        return None
    kept = Pace(forward, training)
    return kept if kept.credible else None
