"""Every shipped model under bfloat16 autocast, a CPU's and a GPU's, forward and backward."""

from __future__ import annotations

from contextlib import AbstractContextManager

import pytest
import torch
from cuda_autocast import cuda_autocast
from model_inputs import SMALL, compiled, plan_of, tensors
from torch import nn

KINDS = ("cpu", "cuda")


def autocast(kind: str) -> AbstractContextManager[object]:
    """Autocast of a kind of device; both run on a CPU."""
    return cuda_autocast() if kind == "cuda" else torch.autocast("cpu", torch.bfloat16)


def test_a_gpu_is_emulated() -> None:
    x = torch.ones(2, 4, dtype=torch.bfloat16)
    norm, linear = nn.LayerNorm(4), nn.Linear(4, 4)
    with cuda_autocast():
        found = [norm(x).dtype, x.softmax(1).dtype, x.sum(1).dtype, linear(norm(x)).dtype]
    assert found == [torch.float32, torch.float32, torch.float32, torch.bfloat16]
    with torch.autocast("cpu", torch.bfloat16):
        assert norm(x).dtype == torch.bfloat16


@pytest.mark.filterwarnings("ignore:Warning only once for all operators")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SMALL)
def test_forward_and_backward(name: str, kind: str) -> None:
    """Weights in float32, and weights in bfloat16 beside norms in float32."""
    plan, model = plan_of(name), compiled(name)
    given = tensors(plan, 3)
    low = {
        key: x.bfloat16() if torch.is_tensor(x) and x.is_floating_point() else x
        for key, x in given.items()
    }
    for inputs in (given, low):
        if inputs is low:
            model.bfloat16()
            for part in model.modules():
                if type(part).__name__.endswith("Norm"):
                    part.float()
        for training in (True, False):
            with autocast(kind):
                out = model.train(training)(**inputs)
            assert all(head.isfinite().all() for head in out.heads)
            model.zero_grad()
            out.loss.backward()
            for key, value in model.named_parameters():
                assert value.grad is None or value.grad.isfinite().all(), key
