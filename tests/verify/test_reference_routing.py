"""Routing of the reference: dense limits, the balance loss' known values, naive sums."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from reference_cases import close, normal, one_stream
from torch import Tensor

from mmspec.schema.routing import ByModality, Experts, Switch
from mmspec.verify.reference import run
from mmspec.verify.reference.arithmetic import Weights, activate
from mmspec.verify.reference.routing import Routed, balance, feed_forward
from mmspec.verify.strategies import weights

PEERS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": torch.nn.functional.gelu,
    "gelu-tanh": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
    "relu": torch.relu,
    "silu": torch.nn.functional.silu,
    "quick-gelu": lambda x: x * torch.sigmoid(1.702 * x),
}


@pytest.mark.parametrize("kind", PEERS)
def test_activations_are_torchs(kind: str) -> None:
    x = normal(50) * 10
    close(activate(kind, x), PEERS[kind](x))


def _weights() -> Weights:
    return Weights(
        {
            "router.weight": normal(4, 5),
            "up": normal(4, 5, 3, seed=1),
            "down": normal(4, 3, 5, seed=2),
        }
    )


def _all_experts(x: torch.Tensor, w: Weights) -> tuple[torch.Tensor, torch.Tensor]:
    s = torch.softmax(x @ w["router.weight"].T, -1)
    hidden = torch.nn.functional.gelu(torch.einsum("nd,edf->nef", x, w["up"]))
    return s, torch.einsum("nef,efd->ned", hidden, w["down"])


def test_choosing_every_expert_is_their_mean_under_s() -> None:
    w, x = _weights(), normal(6, 5, seed=3)
    s, outputs = _all_experts(x, w)
    layer = Experts(kind="experts", experts=4, choose=4)
    close(feed_forward(x, layer, w, True, ())[0], (s[..., None] * outputs).sum(1))


@pytest.mark.parametrize("renormalise", [True, False])
def test_the_largest_two(renormalise: bool) -> None:
    w, x = _weights(), normal(6, 5, seed=3)
    s, outputs = _all_experts(x, w)
    best, where = s.topk(2)
    share = best / best.sum(1, keepdim=True) if renormalise else best
    layer = Experts(kind="experts", experts=4, choose=2, renormalise=renormalise)
    picked = outputs.gather(1, where[..., None].expand(-1, -1, 5))
    close(feed_forward(x, layer, w, True, ())[0], (share[..., None] * picked).sum(1))


def test_a_switch_keeps_the_raw_probability() -> None:
    w, x = _weights(), normal(6, 5, seed=3)
    s, outputs = _all_experts(x, w)
    best, where = s.max(1)
    expected = best[:, None] * outputs[torch.arange(6), where]
    layer = Switch(kind="switch", experts=4)
    close(feed_forward(x, layer, w, True, ())[0], expected)


def test_balance_is_1_when_uniform_and_e_when_collapsed() -> None:
    layer = Switch(kind="switch", experts=4)
    even = Routed(torch.full((4, 4), 0.25, dtype=torch.float64), [[0], [1], [2], [3]])
    loss, load = balance(layer, [even, even])
    assert loss.item() == pytest.approx(1.0)
    assert load.tolist() == [0.25] * 4
    one = torch.zeros(3, 4, dtype=torch.float64)
    one[:, 2] = 1
    assert balance(layer, [Routed(one, [[2]] * 3)])[0].item() == pytest.approx(4.0)


def test_balance_counts_valid_tokens_of_the_whole_batch() -> None:
    spec = one_stream("depth: 2, heads: 2, feed_forward: {kind: switch, experts: 3, balance: 0.5}")
    x, w = normal(2, 6, 6), weights(spec, 2)
    lengths = {"x": torch.tensor([6, 1])}
    result = run(spec, w, {"x": x}, lengths)
    load = result.statistics["s.load"]
    assert load.shape == (2, 3)
    close(load.sum(1), torch.ones(2, dtype=torch.float64))
    close(load * 7, torch.round(load * 7))
    x[1, 1:] = 1e4
    close(run(spec, w, {"x": x}, lengths).auxiliary["s.balance"], result.auxiliary["s.balance"])


def test_each_segment_has_its_own_mlp() -> None:
    layer = ByModality(kind="by-modality", width=2)
    shapes = {"up.weight": (2, 5), "up.bias": (2,), "down.weight": (5, 2), "down.bias": (5,)}
    names = [(f"{s}_mlp.{name}", shape) for s in "ae" for name, shape in shapes.items()]
    values = {name: normal(*shape, seed=i) for i, (name, shape) in enumerate(names)}
    x = normal(5, 5)
    found = feed_forward(x, layer, Weights(values), True, (("a", 2), ("e", 3)))[0]
    hidden = torch.nn.functional.gelu(x[2] @ values["e_mlp.up.weight"].T + values["e_mlp.up.bias"])
    close(found[2], hidden @ values["e_mlp.down.weight"].T + values["e_mlp.down.bias"])
