"""What attention by tiles is tried on: lengths around tiles, numbers that bring out faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from hypothesis import strategies as st
from torch import Tensor

from mmspec.schema import modality as modalities
from mmspec.schema.spec import Spec
from mmspec.verify.lab.case import Case, is_large, shortened
from mmspec.verify.lab.ways import Asked, Way
from mmspec.verify.strategies import Inputs, inputs
from mmspec.verify.subject import Subject

TILE = 64
LENGTHS = (1, 2, TILE - 1, TILE, TILE + 1, 89, 2 * TILE - 1, 2 * TILE, 2 * TILE + 1, 197)
"""Tokens of sequences: around one tile and two, and primes."""
FAR = 769
"""Tokens by which plans have parts that are merged: first of all where that is asked for."""
BY_KERNELS = (TILE + 1, 2 * TILE + 1, TILE)
"""The same for kernels, each of whose steps is interpreted."""
Filled = tuple[Tensor, Tensor, Tensor, Tensor]
"""Queries, keys, values and the gradient of what they give."""


def _gaussian(x: Filled) -> Filled:
    return x


def _far(x: Filled) -> Filled:
    """All scores some hundreds below 0."""
    q, k, v, g = x
    most = (250 / q.shape[-1] ** 0.5) ** 0.5
    return 0.1 * q + most, 0.1 * k - most, v, g


def _rising(x: Filled) -> Filled:
    """Scores that rise along the keys: the largest comes last."""
    q, k, v, g = x
    slope = torch.linspace(-4, 4, k.shape[2])[None, None, :, None]
    return q.abs(), 0.1 * k + slope, v, g


def _offset(x: Filled) -> Filled:
    """Values beside 10."""
    return x[0], x[1], x[2] + 10, x[3]


def _large(x: Filled) -> Filled:
    """Scores six times as large."""
    return 2.4 * x[0], 2.4 * x[1], x[2], x[3]


def _outliers(x: Filled) -> Filled:
    """A feature of queries and keys that is ten times the others."""
    q, k = (torch.cat([10 * y[..., :1], y[..., 1:]], -1) for y in x[:2])
    return q, k, x[2], x[3]


def _tails(x: Filled) -> Filled:
    """A few values and gradients far from the rest."""
    v, g = (y / (0.05 + y.roll(1, 2).abs()) for y in x[2:])
    return x[0], x[1], v, g


def _tiny(x: Filled) -> Filled:
    return tuple(1e-3 * y for y in x)  # type: ignore[return-value]


FILLS: dict[str, Callable[[Filled], Filled]] = {
    "gaussian": _gaussian,
    "scores hundreds below 0": _far,
    "scores that rise along the keys": _rising,
    "values beside 10": _offset,
    "scores times 6": _large,
    "an outlier feature": _outliers,
    "heavy tails": _tails,
    "tiny": _tiny,
}


@dataclass(frozen=True, slots=True)
class Trial:
    """An attention of a case, and what it is given; which: of those that are asked for."""

    case: Case
    way: Way
    which: int = 0
    dtype: torch.dtype = torch.float32
    fill: str = "gaussian"
    seed: int = 0

    def describe(self) -> str:
        """In words."""
        kind = str(self.dtype).removeprefix("torch.")
        given = (
            f"attention {self.which} by {self.way.name} in {kind}, {self.fill}, seed {self.seed}"
        )
        return f"{given}; {self.case.describe()}"


@st.composite
def trials(
    draw: st.DrawFn, subject: Subject, way: Way, ragged: bool = False, far: bool = False
) -> Trial:
    """A trial of a way at a drawn length.

    ragged: of samples of which one is shorter; far: also of many tokens.
    """
    slow = way.name == "triton"
    lengths = BY_KERNELS if slow else LENGTHS[: 5 if is_large(subject) else None]
    if far and not (slow or is_large(subject)):
        lengths = FAR, *lengths
    length = draw(st.sampled_from(lengths))
    spec = shortened(subject.spec, length)
    count = 1 + ragged if slow or length == FAR else draw(st.integers(1 + ragged, 2))
    batch = draw(inputs(spec, (count, count), absent=not (slow or ragged), ragged=False))
    if ragged or draw(st.booleans()):
        batch = replace(batch, lengths=_shorter(draw, spec, batch))
    kind, which, seed = draw(st.sampled_from(way.dtypes)), draw(_SMALL), draw(_SMALL)
    fills = sorted(FILLS, key=lambda name: name != "scores hundreds below 0") if slow else [*FILLS]
    return Trial(Case(batch), way, which, kind, draw(st.sampled_from(fills)), seed)


_SMALL = st.integers(0, 15)


def _shorter(draw: st.DrawFn, spec: Spec, batch: Inputs) -> dict[str, Tensor]:
    """The lengths of a batch whose last sample is shorter than its tensors."""
    found = dict(batch.lengths)
    for name, modality in spec.modalities.items():
        if not isinstance(modality, modalities.Varying):
            continue
        full = int(found[name][-1])
        kept = sorted({n for n in (full // 2, full - 1, 1) if 0 < n <= full}) or [full]
        last = torch.tensor([draw(st.sampled_from(kept))])
        found[name] = torch.cat([found[name][:-1], last])
    return found


def filled(one: Asked, trial: Trial) -> Filled:
    """What an attention is given in a trial, laid out as projections give it: [b, t, h, w]."""
    generator = torch.Generator().manual_seed(trial.seed)
    q, k, v = one.sizes
    shapes = q, k, v, torch.Size((*q[:3], v[3]))
    made = [torch.randn(b, t, h, w, generator=generator).transpose(1, 2) for b, h, t, w in shapes]
    q_, k_, v_, g = FILLS[trial.fill]((made[0], made[1], made[2], made[3]))
    return q_.to(trial.dtype), k_.to(trial.dtype), v_.to(trial.dtype), g.to(trial.dtype)
