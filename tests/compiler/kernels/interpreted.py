"""Emitted kernels under triton's interpreter, which must be chosen before triton is imported.

    TRITON_INTERPRET=1 python interpreted.py FOLDER

Prints, as JSON by case, the largest error of output, log-sum-exp and gradients, as a share of what
rounding explains, against attention in float64 over the formulas of docs/masks.md.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from large import part
from patched_once import patch_once, watch_overflows
from torch import Tensor

from mmspec.compiler.kernels import kernel_file, kernel_mask
from mmspec.compiler.relations.meaning.geometry import Clock, Geometry, grid, line, volume
from mmspec.compiler.relations.meaning.sequence import SequenceMask, Side
from mmspec.expressions.mask import parse, parse_pair
from mmspec.verify.lab.rounding import exact

ROOT = Path(__file__).parents[3]
TEXT = line("n_text")
IMAGE = grid(5, 7)
SOUND = line("n_sound", Clock(Fraction(0), Fraction(10)))
MOTION = line("n_motion", Clock(Fraction(0), Fraction(25)))
DRIFT = line("n_drift", Clock(Fraction(0), Fraction(10**9, 100_000_007)))
"""100.000007 Hz: common multiples of its ticks and those of `sound` pass 32 bits."""
CLIP = volume("frames_clip", 3, 5, Clock(Fraction(0), Fraction(40)))
GEOMETRIES: dict[str, Geometry] = {
    **{"text": TEXT, "image": IMAGE, "sound": SOUND, "motion": MOTION},
    **{"clip": CLIP, "drift": DRIFT},
}
TILES = ((32, 16), (16, 32), (32, 16))
SIZES = {"text": 45, "image": 35, "sound": 37, "motion": 18, "clip": 60, "drift": 41}
Case = tuple[str, str, dict[str, str]]

CASES: dict[str, Case] = {
    "causal": ("text", "text", {"text text": "causal"}),
    "window": ("text", "text", {"text text": "causal & window(before=20)"}),
    "dilated": ("text", "text", {"text text": "dilated(step=3, reach=30)"}),
    "block": ("text", "text", {"text text": "block(24) | global(2)"}),
    "strided": ("text", "text", {"text text": "strided(7)"}),
    "empty": ("text", "text", {"text text": "~causal & block(9)"}),
    "full": ("text", "text", {"text text": "full"}),
    "grid": ("image", "image", {"image image": "window2d(1) | axial(row)"}),
    "shifted": ("image", "image", {"image image": "shifted_window(size=3, shift=1)"}),
    "time": ("sound", "motion", {"sound motion": "within(60 ms)"}),
    "dilated causal": ("text", "text", {"text text": "causal & dilated(step=4, reach=30)"}),
    "axial": ("image", "image", {"image image": "axial(row)"}),
    "axial column": ("image", "image", {"image image": "axial(column)"}),
    "cube": ("clip", "clip", {"clip clip": "window3d(1)"}),
    "axial frame": ("clip", "clip", {"clip clip": "axial(frame)"}),
    "clip": ("clip", "clip", {"clip clip": "frame | global(4)"}),
    "heard": ("sound", "clip", {"sound clip": "within(60 ms)"}),
    "drift": ("sound", "drift", {"sound drift": "within(60 ms)"}),
    "classes beside": (
        "text image",
        "text image",
        {"text text": "strided(4) & causal", "text image": "full", "image text": "full"},
    ),
    "sloped": ("text", "text", {"text text": "causal"}),
    "sloped dilated": ("text", "text", {"text text": "dilated(step=3, reach=30)"}),
    "sloped grid": ("image", "image", {"image image": "window2d(2)"}),
    "sloped beside": (
        "text image",
        "text image",
        {"text text": "window(before=20, after=9)", "text image": "full", "image image": "full"},
    ),
    "several": (
        "text image sound",
        "text image sound",
        {
            "text text": "causal",
            "text image": "full",
            "image image": "window2d(1)",
            "sound sound": "window(before=9, after=2) | prefix(1)",
        },
    ),
}
"""Segments of queries, of keys, and masks by pair."""
SLOPED = {"sloped beside": ("text",)}
"""Segments with relative scores, where it is not all of what is sloped."""
SLOPES = (0.5, 0.0625, 0.0078125, 0.25)
"""Of each head what is taken from a score for a token's distance."""


def sides(names: str) -> tuple[Side, ...]:
    return tuple(Side(name, GEOMETRIES[name], f"n_{name}") for name in names.split())


def mask_of(name: str, case: Case, widths: tuple[int, int]) -> kernel_mask.Mask:
    pairs = tuple((*parse_pair(pair.replace(" ", "->")), parse(t)) for pair, t in case[2].items())
    sequence = SequenceMask(sides(case[0]), sides(case[1]), pairs)
    return kernel_mask.Mask(
        name, sequence, 4096, *widths, heads=4, tiles=TILES, lines=frozenset(sloped(name, case))
    )


def sloped(name: str, case: Case) -> tuple[str, ...]:
    """The segments whose tokens have relative scores to one another."""
    name = name.replace("_", " ")
    return SLOPED.get(name, tuple(case[0].split()) if name.startswith("sloped") else ())


def added(name: str) -> Tensor:
    """What is added to scores, one by one: [H, q, k]."""
    case = CASES[name]
    tokens = [(of, place) for of in case[0].split() for place in range(SIZES[of])]
    with_scores = sloped(name, case)
    apart = [
        [abs(q[1] - k[1]) * (q[0] == k[0] and q[0] in with_scores) for k in tokens] for q in tokens
    ]
    return -torch.tensor(SLOPES, dtype=torch.float64)[:, None, None] * torch.tensor(apart)


def module(folder: Path, widths: tuple[int, int], names: set[str]) -> dict[str, Any]:
    """The kernels of some cases, as a package beside the launcher."""
    package = folder / f"interpreted_{widths[0]}"
    (package / "runtime").mkdir(parents=True)
    (package / "__init__.py").touch()
    for name in ("launch.py", "tiles.py"):
        (package / "runtime" / name).write_text((ROOT / "compiler" / "runtime" / name).read_text())
    cases = ((name, case) for name, case in CASES.items() if name in names)
    masks = [mask_of(name.replace(" ", "_"), case, widths) for name, case in cases]
    (package / "kernels.py").write_text(kernel_file.module('"""Kernels."""', masks))
    sys.path.insert(0, str(folder))
    found: dict[str, Any] = importlib.import_module(f"{package.name}.kernels").KERNELS
    return found


def visible(case: Case, sizes: dict[str, int]) -> Tensor:
    """Who sees whom, point by point."""
    sys.path.insert(0, str(ROOT / "tests" / "compiler" / "relations"))
    naive = importlib.import_module("naive_masks")
    lengths = {f"n_{name}": size for name, size in sizes.items()}
    lengths["frames_clip"] = sizes["clip"] // 15
    rows = []
    for query in case[0].split():
        row = []
        for key in case[1].split():
            mask = parse(case[2].get(f"{query} {key}", "none"))
            q, k = (naive.tokens(GEOMETRIES[name], lengths) for name in (query, key))
            seen = [[naive.sees(mask, a, b) for b in k] for a in q]
            row.append(torch.tensor(seen, dtype=torch.bool).reshape(len(q), len(k)))
        rows.append(torch.cat(row, 1))
    return torch.cat(rows)


LAWS: dict[str, tuple[float, float, float]] = {
    "plain": (0.0, 1.0, 0.0),
    "scores far below 0": (1.5, 1.0, 0.0),
    "values beside 10": (0.0, 1.0, 10.0),
    "scores times 6": (0.0, 2.4, 0.0),
}
"""What is added to queries and taken from keys, their factor, and what is added to values."""


@dataclass(frozen=True)
class Run:
    """What is computed; `slip`: a factor of the scale, other than 1 only to be caught."""

    name: str
    dtype: torch.dtype = torch.float32
    valid: bool = False
    law: str = "plain"
    slip: float = 1.0
    slope: float = 1.0
    """A factor of one head's slope, other than 1 only to be caught."""

    def __str__(self) -> str:
        words = [self.name, str(self.dtype).removeprefix("torch.")]
        words += [self.law] * (self.law != "plain")
        words += ["slipped"] * (self.slip != 1 or self.slope != 1)
        return " ".join(words)


def heads_of(run: Run) -> tuple[int, int]:
    """Of queries and of keys: several of each once where a head's own place has a part in it.

    The interpreter takes its time for each.
    """
    if run.name == "window" and run.law == "plain":
        return (4, 2) if run.valid else (2, 1)
    if run.name in ("several", "sloped beside"):
        return (2 if run.name != "several" or run.dtype == torch.float32 else 1), 1
    return (2 if sloped(run.name, CASES[run.name]) else 1), 1


def ratios(found: Any, run: Run, widths: tuple[int, int]) -> list[float]:
    """Errors of output, log-sum-exp, dq, dk and dv, as shares of what rounding explains."""
    torch.manual_seed(0)
    case, dtype = CASES[run.name], run.dtype
    sides = [case[0].split(), case[1].split()]
    tokens = [sum(SIZES[name] for name in side) for side in sides]
    apart, factor, beside = LAWS[run.law]
    b, (heads, shared) = 2 if run.valid else 1, heads_of(run)
    watch_overflows(bool({"sound", "drift"} & {*sides[0], *sides[1]}))
    q = (torch.randn(b, tokens[0], heads, widths[0]) * factor + apart).transpose(1, 2).to(dtype)
    k = (torch.randn(b, shared, tokens[1], widths[0] + 3) * factor - apart).to(dtype)[..., 3:]
    v = (torch.randn(b, tokens[1], shared, widths[1]) + beside).transpose(1, 2).to(dtype)
    g = torch.randn(b, heads, tokens[0], widths[1]).to(dtype)
    seen, valid_bk = visible(case, SIZES)[None, None].expand(b, 1, -1, -1), None
    if run.valid:
        parts = [
            torch.arange(SIZES[n]) < torch.tensor([[SIZES[n]], [SIZES[n] // 3]]) for n in sides[1]
        ]
        valid_bk = torch.cat(parts, 1)
        seen = seen & valid_bk[:, None, None]
    launch = importlib.import_module(f"{type(found).__module__.rpartition('.')[0]}.launch")
    lengths = [SIZES[name] for name in dict.fromkeys([*sides[0], *sides[1]])]
    given: tuple[Any, ...] = lengths, valid_bk, widths[0] ** -0.5 * run.slip, (None, None)
    more: Tensor | float = 0.0
    if sloped(run.name, case):
        slopes = torch.tensor(SLOPES) * torch.tensor([1.0, run.slope, 1.0, 1.0])
        slopes = slopes[:heads]
        given = *given, -slopes[:, None] * (torch.arange(129) - 64).abs()
        more = added(run.name)[:heads]
    results = launch.forward(found, (q, k, v), *given)
    backward = launch.backward(found, (g, q, k, v, *results), *given)
    return exact(q, k, v, g, seen, more).ratios((*results, *backward))


LIKE_OTHERS = ("dilated", "empty", "dilated causal", "axial", "axial frame", "heard", "sloped grid")
"""Cases whose loops and conditions others have too: `make deep` runs them."""


def runs() -> Iterator[Run]:
    for name in part(list(CASES), [name for name in CASES if name not in LIKE_OTHERS]):
        yield Run(name, valid=name in ("window", "several", "time", "grid"))
    for law in LAWS:
        yield Run("window", torch.float16, law=law)
    yield Run("several", torch.float16, valid=True)
    yield Run("window", torch.float16, slip=1.05)
    yield Run("causal", slip=1.0001)
    yield Run("sloped beside", torch.float16, valid=True)
    yield Run("sloped", slope=1.001)


def main(folder: str, half: str) -> None:
    """Print what every second run finds, from the first (half 0) or the second (half 1)."""
    torch.set_num_threads(1)
    patch_once()
    found: dict[str, Any] = {}
    asked = [*runs()][int(half) :: 2]
    for widths, wide in (((24, 40), True), ((16, 16), False)):
        some = [run for run in asked if (run.name in ("window", "several")) == wide]
        table = module(Path(folder), widths, {run.name for run in some})
        for run in some:
            found[str(run)] = ratios(table[run.name.replace(" ", "_")], run, widths)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
