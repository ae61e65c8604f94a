"""Routed experts of compiled packages beside transformers' grouped Mixtral block of equal FLOPs.

Forward and backward, CPU seconds of one thread. Mixtral's experts have three matrices and ours two,
so ours are half as wide again; routers are the same, so both send each token to the same experts.
Nothing is printed unless ours gives what a plain loop over experts gives, gradients too.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import torch
import torch.nn.functional as F
from measure import alternate, table
from torch import Tensor, nn

from mmspec.compiler import ir
from mmspec.compiler.parts.routing import Experts, Routing

OURS, THEIRS = "mmspec", "transformers"
WIDTH, HIDDEN, CHOOSE, TOKENS = 256, 512, 2, (4, 256)


def peer(experts: int) -> nn.Module:
    """transformers' block, its experts by grouped products."""
    from transformers.models.mixtral.configuration_mixtral import MixtralConfig
    from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock

    config = MixtralConfig(
        hidden_size=WIDTH,
        intermediate_size=HIDDEN,
        num_local_experts=experts,
        num_experts_per_tok=CHOOSE,
    )
    config._experts_implementation = "grouped_mm"
    block: nn.Module = MixtralSparseMoeBlock(config)
    return block


def pair(experts: int, skew: float) -> tuple[Experts, nn.Module, Tensor]:
    """Both blocks, routed alike, and tokens; skew: how far all of them lean one way."""
    torch.manual_seed(experts)
    routing = ir.Experts(3 * HIDDEN // 2, "silu", experts, CHOOSE, renormalise=True, balance=0.0)
    ours, theirs = Experts(WIDTH, routing), peer(experts)
    x_btd = torch.randn(*TOKENS, WIDTH)
    x_btd = x_btd + skew * torch.randn(WIDTH)
    with torch.no_grad():
        for value in theirs.parameters():
            nn.init.normal_(value, std=0.02)
        nn.init.normal_(ours.router.weight, std=WIDTH**-0.5)
        dict(theirs.named_parameters())["gate.weight"].copy_(ours.router.weight)
    return ours, theirs, x_btd


def loop(layer: Experts, x_btd: Tensor) -> Tensor:
    """What the experts give, expert by expert on all tokens."""
    probability_te = layer.router(x_btd.flatten(0, 1)).softmax(dim=-1)
    weight_tk, expert_tk = probability_te.topk(CHOOSE, dim=-1)
    weight_tk = weight_tk / weight_tk.sum(dim=-1, keepdim=True)
    y_td = torch.zeros_like(x_btd).flatten(0, 1)
    for expert in range(layer.experts):
        share_t1 = torch.where(expert_tk == expert, weight_tk, 0.0).sum(dim=-1, keepdim=True)
        h_tf = F.silu(x_btd.flatten(0, 1) @ layer.up[expert])
        y_td = y_td + share_t1 * (h_tf @ layer.down[expert])
    return y_td.view_as(x_btd)


def ours_of(layer: Experts, x_btd: Tensor) -> Tensor:
    """What the layer gives."""
    found: list[Routing] = []
    y_btd: Tensor = layer(x_btd, None, found)
    return y_btd


def check(layer: Experts, x_btd: Tensor) -> None:
    """End where the layer is not the loop, or has other gradients."""
    rows = x_btd[:1, :64].clone().requires_grad_()
    leaves = [rows, *layer.parameters()]
    found, expected = ours_of(layer, rows), loop(layer, rows)
    pairs = [(found, expected)]
    made = (torch.autograd.grad(y.square().sum(), leaves) for y in (found, expected))
    pairs += zip(*made, strict=True)
    if not all(
        torch.allclose(a, b, rtol=1e-3, atol=1e-4 * float(b.detach().abs().max())) for a, b in pairs
    ):
        raise SystemExit("the layer and a loop over its experts differ")


def seconds(call: Callable[[], Any], layer: nn.Module) -> float:
    """CPU seconds of a forward and a backward pass."""
    layer.zero_grad()
    start = time.process_time()
    call().sum().backward()
    return time.process_time() - start


def main() -> None:
    """Measure 8 and 64 experts, balanced and skewed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    for experts in (8, 64):
        for name, skew in (("balanced", 0.0), ("skewed", 1.0)):
            ours, theirs, x_btd = pair(experts, skew)
            check(ours, x_btd)
            taken: list[Routing] = []
            ours(x_btd, None, taken)
            load_e = taken[0].load_e
            most, idle = float(load_e.max()) * experts, int((load_e == 0).sum())
            calls = {
                THEIRS: partial(seconds, partial(theirs, x_btd), theirs),
                OURS: partial(seconds, partial(ours_of, ours, x_btd), ours),
            }
            what = f"{experts} experts, {name}"
            print(table(alternate(calls, rounds), THEIRS, what))
            print(f"the busiest has {most:.1f} times its share, {idle} none\n")


if __name__ == "__main__":
    main()
