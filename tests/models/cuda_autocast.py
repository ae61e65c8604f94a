"""A GPU's autocast on a CPU: some operators compute in float32, whatever they are given."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

IN_FLOAT32 = (
    *("layer_norm", "rms_norm", "softmax.int", "log_softmax.int", "cross_entropy_loss", "mse_loss"),
    *("nll_loss", "sum", "sum.dim_IntList", "prod", "cumsum", "norm.ScalarOpt_dim"),
    *("linalg_vector_norm", "pow.Tensor_Scalar", "pow.Tensor_Tensor", "exp", "log", "rsqrt"),
    *("reciprocal", "cosine_similarity", "logsumexp"),
)
"""Of torch's list for CUDA (docs, "CUDA Ops that can autocast to float32"), what models may use."""


@contextmanager
def cuda_autocast() -> Generator[None]:
    """A context of bfloat16 autocast in which those operators do what they do on a GPU."""
    library = torch.library.Library("aten", "IMPL")
    for name in IN_FLOAT32:
        packet, _, overload = name.partition(".")
        operator = getattr(getattr(torch.ops.aten, packet), overload or "default")
        library.impl(operator, _in_float32(operator), "AutocastCPU")
    try:
        with torch.autocast("cpu", torch.bfloat16):
            yield
    finally:
        library._destroy()


def _in_float32(operator: Any) -> Any:
    def call(*given: Any, **named: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(
            torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCPU)
        ):
            return operator(*map(_raised, given), **{key: _raised(x) for key, x in named.items()})

    return call


def _raised(x: Any) -> Any:
    low = isinstance(x, Tensor) and x.dtype in (torch.bfloat16, torch.float16)
    return x.float() if low else x
