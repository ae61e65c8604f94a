"""Models under torch.func: the same gradients, or a sentence; never a figure that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from model_inputs import SPECS, plan_of, tensors
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jacrev, jvp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

import mmspec

MATH = SDPBackend.MATH
NAMES = {"sliding": "tiles", "experts_top2": "auto", "ponder": "auto", "early_exit": "auto"}
"""Attention by an operator, experts by another, and depths that depend on the data."""

pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")
Given = dict[str, Any]
PACKED = """
mmspec: 1
name: mail
modalities: {text: {kind: tokens, vocab: 9, length: {max: 12}}}
streams: {text: {from: text, depth: 1, width: 8, heads: 1, attention: window(before=3) & document}}
heads: {next: {from: text, kind: language-model}}
"""


@pytest.fixture(params=NAMES)
def case(request: pytest.FixtureRequest) -> Iterator[tuple[nn.Module, Given]]:
    """A shipped model in float64 that calls its operators, and inputs."""
    name: str = request.param
    torch.manual_seed(0)
    model = mmspec.compile(SPECS / f"{name}.yaml", NAMES[name])().double()
    package = type(model).__module__.rpartition(".")[0]
    given = tensors(plan_of(name), 3)
    for part in (given, given["targets"]):
        part.update({k: x.double() for k, x in part.items() if torch.is_tensor(x) and exact(x)})
    if name != "sliding":
        yield model, given
        return
    plans: Any = import_module(".runtime.sparse_plan", package)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plans, "_MARGIN", 1e9)
        plans.chosen.cache_clear()
        yield model, given
        plans.chosen.cache_clear()


def exact(x: Tensor) -> bool:
    """Whether a tensor is of numbers."""
    return x.is_floating_point()


def weights(model: nn.Module) -> dict[str, Tensor]:
    """The weights, apart from the model."""
    return {name: value.detach() for name, value in model.named_parameters()}


def sample(given: Given, index: Any) -> Given:
    """Samples of a batch."""
    return {k: sample(x, index) if isinstance(x, dict) else x[index] for k, x in given.items()}


def backward(model: nn.Module, given: Given) -> dict[str, Tensor]:
    """The gradients that autograd gives."""
    model.zero_grad()
    model(**given).loss.backward()
    return {
        k: torch.zeros_like(x) if x.grad is None else x.grad for k, x in model.named_parameters()
    }


def test_grad(case: tuple[nn.Module, Given]) -> None:
    model, given = case
    found = grad(lambda p: functional_call(model, p, (), given).loss)(weights(model))
    for name, value in backward(model, given).items():
        torch.testing.assert_close(found[name], value, msg=name)


def test_gradients_by_sample(case: tuple[nn.Module, Given]) -> None:
    model, given = case

    def loss(p: dict[str, Tensor], one: Given) -> Tensor:
        value: Tensor = functional_call(model, p, (), sample(one, None)).loss
        return value

    found = vmap(grad(loss), in_dims=(None, 0))(weights(model), given)
    for index in range(3):
        for name, value in backward(model, sample(given, slice(index, index + 1))).items():
            torch.testing.assert_close(found[name][index], value, msg=name)


def test_an_evaluation_of_several_models_at_once(case: tuple[nn.Module, Given]) -> None:
    model, given = case
    model.eval()
    several = {name: torch.stack([x, 1.1 * x]) for name, x in weights(model).items()}
    inputs = {key: x for key, x in given.items() if key != "targets"}
    found = vmap(lambda p: functional_call(model, p, (), inputs).heads[0])(several)
    for index in range(2):
        own = {name: x[index] for name, x in several.items()}
        expected = functional_call(model, own, (), inputs).heads[0]
        torch.testing.assert_close(found[index], expected)


def test_gradients_of_each_output(case: tuple[nn.Module, Given]) -> None:
    model, given = case
    name = next(name for name, _ in model.named_parameters() if "norm" in name)
    own = weights(model)

    def sums(w: Tensor) -> Tensor:
        y: Tensor = functional_call(model, {**own, name: w}, (), given).heads[0]
        return y.flatten(1).sum(dim=1)

    found = jacrev(sums)(own[name])
    for index in range(3):
        w = own[name].clone().requires_grad_()
        (expected,) = torch.autograd.grad(sums(w)[index], w)
        torch.testing.assert_close(found[index], expected)


def test_forward_gradients_are_never_left_out(case: tuple[nn.Module, Given]) -> None:
    """torch knows none of its own attention on a CPU: an operator must not say 0 instead."""
    model, given = case
    own = weights(model)
    name = next(name for name in own if "norm" in name)

    def loss(w: Tensor) -> Tensor:
        value: Tensor = functional_call(model, {**own, name: w}, (), given).loss
        return value

    tangent = torch.ones_like(own[name])
    with pytest.raises(NotImplementedError, match="forward AD"):
        jvp(loss, (own[name],), (tangent,))
    with pytest.raises(NotImplementedError, match="forward AD"), forward_ad.dual_level():
        loss(forward_ad.make_dual(own[name], tangent))


@pytest.mark.parametrize("whole", [False, True])
def test_forward_gradients_within_a_graph_are_never_left_out(whole: bool, tmp_path: Path) -> None:
    """An operator in it has no gradient but backward ones: torch took the forward one for 0."""
    path = tmp_path / "mail.yaml"
    path.write_text(PACKED.replace(" & document", ""))
    model, ids = mmspec.compile(path, "tiles")(), torch.tensor([[1, 5, 3, 8, 2]])
    own = weights(model)

    def loss(w: dict[str, Tensor]) -> Tensor:
        value: Tensor = functional_call(model, w, (), {"text": ids, "targets": {"next": ids}}).loss
        return value

    def forward(w: dict[str, Tensor]) -> Tensor:
        slope: Tensor = jvp(loss, (w,), (w,))[1]
        return slope

    compiled: Any = torch.compile(forward, backend="eager", fullgraph=whole)
    with pytest.raises(RuntimeError, match=r"not known to torch\.compile: compute them without"):
        compiled(own)


def test_gradients_of_gradients_are_refused(case: tuple[nn.Module, Given]) -> None:
    model, given = case
    found = torch.autograd.grad(model(**given).loss, [*model.parameters()], create_graph=True)
    with pytest.raises(RuntimeError, match=r"SDPBackend.MATH|not implemented"):
        torch.stack([x.square().sum() for x in found]).sum().backward()


def test_packed_documents_say_how_to_go_on(tmp_path: Path) -> None:
    path = tmp_path / "mail.yaml"
    path.write_text(PACKED)
    model, ids = mmspec.compile(path, "tiles")(), torch.zeros(2, 5, dtype=torch.int64)
    own = weights(model)

    def loss(p: dict[str, Tensor]) -> Tensor:
        given = {"text": ids, "targets": {"next": ids}, "documents": {"text": ids}}
        value: Tensor = functional_call(model, p, (), given).loss
        return value

    with pytest.raises(RuntimeError, match=r"--backend sdpa.*SDPBackend.MATH"):
        grad(loss)(own)


def along(loss: Callable[[Tensor], Tensor], w: Tensor, tangent: Tensor) -> tuple[Tensor, Tensor]:
    """By differences: how a loss and its gradients change along a tangent."""
    step, ends = 1e-5, []
    for sign in (1, -1):
        x = (w + sign * step * tangent).requires_grad_()
        value = loss(x)
        ends.append((value.detach(), *torch.autograd.grad(value, x)))
    (high, high_grad), (low, low_grad) = ends
    return (high - low) / 2 / step, (high_grad - low_grad) / 2 / step


@pytest.mark.parametrize("name", ["sliding", "experts_top2", "mail"])
def test_what_the_refusals_name_gives_what_is_missing(name: str, tmp_path: Path) -> None:
    """Against differences: forward gradients, and gradients of gradients."""
    torch.manual_seed(0)
    path = SPECS / f"{name}.yaml"
    if name == "mail":
        path = tmp_path / "mail.yaml"
        path.write_text(PACKED)
    model = mmspec.compile(path, "sdpa")().double()
    given = tensors(mmspec.plan(path), 2)
    if name == "mail":
        given["documents"] = {"text": given["text"].sort(dim=1).values}
    own = weights(model)
    key = next(name for name in own if "norm" in name)

    def loss(w: Tensor) -> Tensor:
        value: Tensor = functional_call(model, {**own, key: w}, (), given).loss
        return value

    tangent = torch.linspace(-1, 1, own[key].numel(), dtype=torch.float64)
    slope, curve = along(loss, own[key], tangent)
    with sdpa_kernel(MATH):
        found = jvp(loss, (own[key],), (tangent,))[1]
        torch.testing.assert_close(found, slope, rtol=1e-5, atol=1e-8)
        if name == "experts_top2":
            found = grad(lambda w: grad(loss)(w) @ tangent)(own[key])
        else:
            w = own[key].clone().requires_grad_()
            (first,) = torch.autograd.grad(loss(w), w, create_graph=True)
            (found,) = torch.autograd.grad(first @ tangent, w)
        torch.testing.assert_close(found, curve, rtol=1e-4, atol=1e-7)
