"""Kernels of masks with tables under triton's interpreter, which must be chosen before its import.

    TRITON_INTERPRET=1 python tabled.py FOLDER

Prints, as JSON by case, the share of pairs that are visible and the largest error of output,
log-sum-exp and gradients against attention in float64 over the pairs that the reference shows.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from large import part
from patched_once import patch_once, watch_overflows
from torch import Tensor

from mmspec.compiler.kernels import kernel_file, kernel_mask
from mmspec.compiler.parts.attention import document_ids, document_spans
from mmspec.compiler.relations.meaning.geometry import line
from mmspec.compiler.relations.meaning.sequence import SequenceMask, Side
from mmspec.expressions.mask import parse
from mmspec.verify.reference.masks import sight
from mmspec.verify.reference.places import Token

ROOT = Path(__file__).parents[3]
TILES = ((32, 32), (64, 16), (64, 32))
SIZES = {"text": 131, "sound": 67}
MOST = {"text": 385, "sound": 200}
ENDS = {
    "text": [[40, 41, 64, 110, 131], [3, 103, 131]],
    "sound": [[17, 30, 30, 67], [40, 40, 67]],
}
"""Where documents end: some are short, some have no sound."""

Case = tuple[str, str, dict[str, str]]


def alone(mask: str) -> Case:
    return "text", "text", {"text text": mask}


CASES: dict[str, Case] = {
    "document": alone("document"),
    "causal": alone("document & causal"),
    "window": alone("document & window(before=20, after=3)"),
    "dilated": alone("document & dilated(step=40, reach=120)"),
    "prefix": alone("document | prefix(5)"),
    "others": alone("~document"),
    "random": alone("random(2)"),
    "random or block": alone("random(2) | block(64)"),
    "random causal": alone("random(3, seed=4) & causal"),
    "random documents": alone("random(4) & document & causal"),
    "not random": alone("causal & ~random(4)"),
    "two draws": alone("random(1) | random(2, seed=5)"),
    "both draws": alone("random(3) & random(5, seed=5) & window(before=90)"),
    "more than there are": alone("random(100) & window(before=90) & random(2)"),
    "cross": ("text", "sound", {"text sound": "document"}),
    "several": (
        "text sound",
        "text sound",
        {
            "text text": "document & causal",
            "text sound": "document | prefix(3)",
            "sound text": "document",
            "sound sound": "random(2)",
        },
    ),
}
"""Segments of queries, of keys, and masks by pair."""


def mask_of(name: str, case: Case, width: int) -> kernel_mask.Mask:
    sides = [
        tuple(Side(one, line(f"n_{one}"), f"n_{one}", MOST[one]) for one in names.split())
        for names in case[:2]
    ]
    pairs = tuple((*pair.split(), parse(text)) for pair, text in case[2].items())
    sequence = SequenceMask(sides[0], sides[1], pairs, asking(case))  # type: ignore[arg-type]
    return kernel_mask.Mask(name, sequence, 640, width, width, 2, TILES)


def asking(case: Case) -> frozenset[str]:
    """The segments of which a mask asks for documents."""
    pairs = (pair.split() for pair, mask in case[2].items() if "document" in mask)
    return frozenset(name for pair in pairs for name in pair)


def module(folder: Path, width: int) -> dict[str, Any]:
    """The kernels of all cases, as a package beside the launcher."""
    package = folder / "tabled"
    (package / "runtime").mkdir(parents=True)
    (package / "__init__.py").touch()
    runtime = ROOT / "compiler" / "runtime"
    for name in ("launch", "tuning", "tiles", "tables"):
        text = (runtime / f"{name}.py").read_text()
        text = text.replace("from mmspec.compiler.runtime import", "from . import")
        text = text.replace("from mmspec.compiler.runtime.", "from .")
        (package / "runtime" / f"{name}.py").write_text(text)
    masks = [mask_of(name.replace(" ", "_"), case, width) for name, case in CASES.items()]
    (package / "kernels.py").write_text(kernel_file.module('"""Kernels."""', masks))
    sys.path.insert(0, str(folder))
    found: dict[str, Any] = importlib.import_module("tabled.kernels").KERNELS
    return found


def documents(name: str) -> Tensor:
    return document_ids(ENDS[name], SIZES[name])


def shown(case: Case, b: int) -> Tensor:
    """Who sees whom in the first of the samples, pair by pair: bool [b, q, k]."""
    samples = []
    for sample in range(b):
        rows = []
        for query in case[0].split():
            row = []
            for key in case[1].split():
                sees = sight(parse(case[2].get(f"{query} {key}", "none")))
                q, k = (
                    [
                        Token(place, document=int(name), most=MOST[of])
                        for place, name in enumerate(documents(of)[sample])
                    ]
                    for of in (query, key)
                )
                row.append(torch.tensor([[sees(a, b) for b in k] for a in q]))
            rows.append(torch.cat(row, 1))
        samples.append(torch.cat(rows))
    return torch.stack(samples)


def spans(case: Case) -> tuple[Tensor | None, Tensor | None]:
    """As a model gives them: of the segments that ask for documents."""
    names, known = asking(case), {name: documents(name) for name in SIZES}
    sides = [tuple(known[name] for name in side.split() if name in names) for side in case[:2]]
    return (document_spans(*sides), document_spans(*sides[::-1])) if names else (None, None)


def attention(q: Tensor, k: Tensor, v: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """The outputs and the log-sum-exp of the scores, 0 for a query that sees nothing."""
    k, v = (x.expand(-1, q.shape[1], -1, -1) for x in (k, v))
    scores = q @ k.mT / q.shape[-1] ** 0.5
    blind = ~seen.any(-1, keepdim=True)
    scores = scores.masked_fill(~(seen | blind), -torch.inf)
    return (scores.softmax(-1) * seen) @ v, scores.logsumexp(-1).masked_fill(blind[..., 0], 0.0)


def errors(
    found: Any, case: Case, width: int, dtype: torch.dtype, valid: bool
) -> tuple[float, list[float]]:
    """The share, and errors of output, log-sum-exp, dq, dk and dv."""
    torch.manual_seed(0)
    sides = [case[0].split(), case[1].split()]
    queries, keys = (sum(SIZES[name] for name in side) for side in sides)
    # each head and sample takes its time
    several = case in (CASES["causal"], CASES["several"]) and dtype == torch.float32
    heads, b = 2 if several else 1, 2 if valid or asking(case) else 1
    q, g = (torch.randn(b, queries, heads, width).transpose(1, 2).to(dtype) for _ in "qg")
    k, v = (torch.randn(b, 1, keys, width).to(dtype) for _ in "kv")
    seen, valid_bk = shown(case, b)[:, None], None
    if valid:
        parts = [
            torch.arange(SIZES[n]) < torch.tensor([[SIZES[n]], [SIZES[n] // 3]]) for n in sides[1]
        ]
        valid_bk = torch.cat(parts, 1)
        seen = seen & valid_bk[:, None, None]
    precise = [x.double().requires_grad_() for x in (q, k, v)]
    y, total = attention(precise[0], precise[1], precise[2], seen)
    gradients = torch.autograd.grad(y, precise, g.double())
    launch = importlib.import_module("tabled.runtime.launch")
    lengths = [SIZES[name] for name in dict.fromkeys([*sides[0], *sides[1]])]
    given = lengths, valid_bk, width**-0.5, spans(case)
    results = launch.forward(found, (q, k, v), *given)
    backward = launch.backward(found, (g, q, k, v, *results), *given)
    pairs = zip((*results, *backward), (y, total, *gradients), strict=True)
    worst = [float((one.double() - other).abs().max()) for one, other in pairs]
    return float(seen.double().mean()), worst


LIKE_OTHERS = ("document", "random causal", "two draws")
"""Cases whose terms stand together with more in others: `make deep` runs them."""


def runs() -> Iterator[tuple[str, torch.dtype, bool]]:
    for name in part(list(CASES), [name for name in CASES if name not in LIKE_OTHERS]):
        yield name, torch.float32, name in ("causal", "several", "random", "others")
    yield "causal", torch.float16, False


def main(folder: str) -> None:
    torch.set_num_threads(1)
    patch_once()
    watch_overflows(False)
    table = module(Path(folder), 16)
    found = {}
    for name, dtype, valid in runs():
        told = f"{name} {str(dtype).removeprefix('torch.')}"
        found[told] = errors(table[name.replace(" ", "_")], CASES[name], 16, dtype, valid)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
