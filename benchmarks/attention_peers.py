"""Ways to compute an attention under a mask: ours, dense SDPA, FlexAttention; and the machine."""

from __future__ import annotations

import functools
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
from mmspec.compiler.runtime.pace import paced
from mmspec.compiler.runtime.sparse import sparse_attention
from mmspec.compiler.runtime.sparse_groups import Groups
from mmspec.compiler.runtime.sparse_plan import chosen

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
_NUMBERS = itertools.count()
SIDES = {"cpu": (64, 128), "cuda": (128,)}
"""Block sizes of FlexAttention by device: the better counts."""
_EAGER = 4096
"""Tokens up to which FlexAttention's block mask is built without torch.compile: n² numbers."""


def sparse(name: str, case: Case) -> Attend:
    """The sparse path of a CPU, its plan made in the first call."""
    pattern = f"{''.join(filter(str.isalpha, name))}_{next(_NUMBERS)}"
    install(pattern, case.mask, case.documents)
    return lambda q, k, v: sparse_attention(q, k, v, (pattern, case.values))


def way(case: Case, inputs: list[Tensor], backward: bool) -> str:
    """What the cost model of a CPU takes: dense SDPA, native code, or calls of torch's kernel."""
    batch, heads, _, width = inputs[0].shape
    pattern = f"choice_{next(_NUMBERS)}"
    install(pattern, case.mask, case.documents)
    sizes = batch * heads, *case.tokens, width
    plan = chosen(pattern, case.values, sizes, *paced(inputs, backward))
    return "dense" if plan.dense else "native" if isinstance(plan, Groups) else "calls"


def dense(seen_qk: Tensor | None) -> Attend:
    """Dense SDPA, with a bool mask or none."""
    return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=seen_qk)


def causal(q_bhqw: Tensor, k_bhkw: Tensor, v_bhkw: Tensor) -> Tensor:
    """Dense SDPA that knows the mask."""
    return F.scaled_dot_product_attention(q_bhqw, k_bhkw, v_bhkw, is_causal=True)


def block_mask(case: Case, side: int, device: str, compiled: bool = True) -> Callable[[], Any]:
    """What builds FlexAttention's block mask from the words of a mask."""
    from torch.nn.attention.flex_attention import create_block_mask

    def sees(_b: Tensor, _h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return case.sees(q, k, *case.tables)

    build: Any = create_block_mask
    if compiled and (device == "cuda" or max(case.tokens) > _EAGER):
        build = torch.compile(create_block_mask, dynamic=False)
    given = {"device": device, "BLOCK_SIZE": side}
    return lambda: build(sees, None, None, *case.tokens, **given)


def flex(case: Case, side: int, device: str, compiled: bool = True) -> tuple[Attend, Attend]:
    """FlexAttention: its block mask made before, and made anew in each call."""
    from torch.nn.attention.flex_attention import flex_attention

    build = block_mask(case, side, device, compiled)
    table = functools.cache(build)
    attend: Any = torch.compile(flex_attention, dynamic=False) if compiled else flex_attention
    return (
        lambda q, k, v: attend(q, k, v, block_mask=table()),
        lambda q, k, v: attend(q, k, v, block_mask=build()),
    )


def machine() -> str:
    """Processor, versions and commit."""
    commit = "unknown"
    if (ROOT / ".git").exists():
        command = ["git", "describe", "--always", "--dirty"]
        commit = subprocess.check_output(command, cwd=ROOT, text=True).strip()
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    found = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = found[0] if found else platform.processor()
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    if torch.cuda.is_available():
        model = torch.cuda.get_device_name()
        versions += f", triton {__import__('triton').__version__}"
    return f"{model}, {os.cpu_count()} cores; {versions}; commit {commit}"
