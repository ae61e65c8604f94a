"""Ways to compute an attention under a mask: ours, dense SDPA, FlexAttention; and the machine."""

from __future__ import annotations

import importlib
import itertools
import os
import platform
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from attention_masks import Case
from measure import ROOT
from torch import Tensor

from mmspec.compiler.load_pattern import install
from mmspec.compiler.parts.sparse import sparse_attention
from mmspec.compiler.parts.sparse_plan import HALF, chosen

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
_NUMBERS = itertools.count()


def sparse(name: str, case: Case) -> Attend:
    """The sparse path of a CPU, its plan made in the first call."""
    pattern = f"{''.join(filter(str.isalpha, name))}_{next(_NUMBERS)}"
    install(pattern, case.mask, case.documents)
    return lambda q, k, v: sparse_attention(q, k, v, (pattern, case.values))


def is_dense(case: Case, inputs: list[Tensor], backward: bool) -> bool:
    """Whether the cost model leaves a case to dense SDPA."""
    _, heads, _, width = inputs[0].shape
    rate = HALF if backward and inputs[0].dtype == torch.bfloat16 else 1.0
    pattern = f"choice_{next(_NUMBERS)}"
    install(pattern, case.mask, case.documents)
    queries, keys = case.seen_qk.shape
    return chosen(pattern, case.values, (heads, queries, keys, width), rate).dense


def kernel(function: str, name: str, case: Case) -> Attend:
    """What `module:function` makes of a case: a compiled kernel of its mask."""
    module, _, member = function.partition(":")
    made: Attend = getattr(importlib.import_module(module), member)(name, case)
    return made


def dense(seen_qk: Tensor | None) -> Attend:
    """Dense SDPA, with a bool mask or none."""
    return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=seen_qk)


def causal(q_bhqw: Tensor, k_bhkw: Tensor, v_bhkw: Tensor) -> Tensor:
    """Dense SDPA that knows the mask."""
    return F.scaled_dot_product_attention(q_bhqw, k_bhkw, v_bhkw, is_causal=True)


def flex(seen_qk: Tensor, side: int) -> Attend:
    """FlexAttention compiled, its block mask made before from the tiles themselves."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    def sees(_b: Tensor, _h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return seen_qk[q, k]

    queries, keys = seen_qk.shape
    table = create_block_mask(
        sees, None, None, queries, keys, device=str(seen_qk.device), BLOCK_SIZE=side
    )
    compiled: Any = torch.compile(flex_attention, dynamic=False)
    return lambda q, k, v: compiled(q, k, v, block_mask=table)


def machine() -> str:
    """Processor, versions and commit."""
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, text=True)
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    found = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = found[0] if found else platform.processor()
    if torch.cuda.is_available():
        model = torch.cuda.get_device_name()
    return (
        f"{model}, {os.cpu_count()} cores; torch {torch.__version__},"
        f" Python {platform.python_version()}; commit {commit.strip()}"
    )
