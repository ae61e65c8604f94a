"""One meaning of a mask on every backend: tiles, SDPA and FlexAttention against float64.

The kernels for a GPU are held to the same bounds in `kernels/`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from native_case import installed, only_native
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from mmspec.compiler.relations.meaning.geometry import grid
from mmspec.compiler.runtime import sparse_plan
from mmspec.compiler.runtime.sparse import attend
from mmspec.verify.lab.rounding import Exact, exact

TOKENS = 300
Attend = Callable[..., Tensor]


def _places() -> tuple[Tensor, Tensor]:
    place = torch.arange(TOKENS)
    return place[:, None], place


def _seen() -> dict[str, Tensor]:
    """Who sees whom by the formulas of docs/masks.md, written out."""
    q, k = _places()
    row, column = (q // 20, k // 20), (q % 20, k % 20)
    near = ((row[0] - row[1]).abs() <= 2) & ((column[0] - column[1]).abs() <= 2)
    return {
        "causal & window(before=40)": (k <= q) & (q - k <= 40),
        "dilated(step=3, reach=60)": ((q - k).abs() <= 60) & ((q - k) % 3 == 0),
        "window2d(radius=2)": near,
        "~causal & block(size=50)": (k > q) & (q // 50 == k // 50),
        "global(count=5) | window(before=9, after=9)": (q < 5) | (k < 5) | ((q - k).abs() <= 9),
    }


MASKS = _seen()


def tiles(text: str) -> Attend:
    """The operator, whatever dense attention costs."""
    name = installed(text, grid(15, 20) if "2d" in text else None)
    return lambda q, k, v: attend(q, k, v, None, None, None, name, [TOKENS], q.shape[-1] ** -0.5)[0]


def sdpa(text: str) -> Attend:
    return lambda q, k, v: F.scaled_dot_product_attention(
        q, k, v, attn_mask=MASKS[text], enable_gqa=True
    )


def flex(text: str) -> Attend:
    """As it computes without a compiler, which it warns of."""
    seen = MASKS[text]

    def sees(_b: Tensor, _h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return seen[q, k]

    table = create_block_mask(sees, None, None, TOKENS, TOKENS, device="cpu", BLOCK_SIZE=64)

    def attend_(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            y = flex_attention(q, k, v, block_mask=table, enable_gqa=True)
        assert isinstance(y, Tensor)
        return y

    return attend_


BACKENDS = {"tiles": tiles, "native": tiles, "sdpa": sdpa, "flex": flex}


def inputs(dtype: torch.dtype) -> list[Tensor]:
    """Queries of 4 heads, keys and values of 2, and the gradient of the output."""
    torch.manual_seed(0)
    shapes = ((2, 4, TOKENS, 24), (2, 2, TOKENS, 24), (2, 2, TOKENS, 24), (2, 4, TOKENS, 24))
    return [torch.randn(shape).to(dtype) for shape in shapes]


@pytest.fixture(autouse=True)
def never_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator passes over tiles, whatever one dense call costs."""
    monkeypatch.setattr(sparse_plan, "_MARGIN", 1e9)


def ratios(attend_: Attend, given: list[Tensor], truth: Exact) -> list[float]:
    """Errors of output and gradients, as shares of what rounding explains.

    FlexAttention has no backward pass on a CPU: of its output alone.
    """
    if attend_.__name__ == "attend_":
        return replace(truth, values=truth.values[:1], bounds=truth.bounds[:1]).ratios(
            (attend_(*given[:3]),)
        )
    leaves = [x.clone().requires_grad_() for x in given[:3]]
    y = attend_(leaves[0], leaves[1], leaves[2])
    gradients = torch.autograd.grad(y, leaves, given[3])
    shares = Exact((truth.values[0], *truth.values[2:]), (truth.bounds[0], *truth.bounds[2:]))
    return shares.ratios((y.detach(), *gradients))


@pytest.mark.parametrize("text", MASKS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_outputs_and_gradients_agree(
    backend: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "native":
        only_native(monkeypatch)
    given = inputs(torch.float32)
    truth = exact(given[0], given[1], given[2], given[3], MASKS[text])
    assert max(ratios(BACKENDS[backend](text), given, truth)) <= 1
    wrong = exact(given[0], given[1], given[2], given[3], MASKS[text].roll(1, 0))
    assert max(ratios(BACKENDS[backend](text), given, wrong)) > 1


@pytest.mark.parametrize("text", MASKS)
def test_bfloat16_on_a_cpu_rounds_no_more_than_it_must(text: str) -> None:
    """Merged in float32; the library's own kernel inside is allowed four times the bound."""
    given = inputs(torch.bfloat16)
    truth = exact(given[0], given[1], given[2], given[3], MASKS[text])
    assert max(ratios(tiles(text), given, truth)) <= 4


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("text", MASKS)
def test_native_code_rounds_no_more_than_it_must(
    text: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_native(monkeypatch)
    given = inputs(dtype)
    truth = exact(given[0], given[1], given[2], given[3], MASKS[text])
    assert max(ratios(tiles(text), given, truth)) <= 1
