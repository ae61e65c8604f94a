"""P49, P53, P55: what a model starts from, what it keeps, and what it draws at random."""

from __future__ import annotations

import math
import re
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from mmspec.schema.init import FanIn
from mmspec.schema.path import BatchNorm
from mmspec.schema.stream import Stream
from mmspec.verify.lab import lab
from mmspec.verify.lab.case import Case, cases
from mmspec.verify.lab.compare import difference
from mmspec.verify.lab.search import tried
from mmspec.verify.lab.starting import Drawn, drawn_of, unequal
from mmspec.verify.law import Law, Search
from mmspec.verify.outcome import Broken, Keys, Outcome, held
from mmspec.verify.reference.init import Start, starts
from mmspec.verify.reference.norm import standard
from mmspec.verify.reference.path import KEPT, named
from mmspec.verify.subject import Subject

_SIGMAS = 5
_DRAWS = 4096
"""Numbers that a rate or a scale is judged by, at least."""
_MOST = 2**22
"""Weights of new models that are looked at, all together; one model is looked at whole."""


@contextmanager
def _poisoned() -> Generator[None]:
    """Memory that nobody has written holds NaN."""
    before, memory = torch.are_deterministic_algorithms_enabled(), _memory()
    fill = memory.fill_uninitialized_memory
    _deterministic(True, warn_only=True)
    memory.fill_uninitialized_memory = True
    try:
        yield
    finally:
        _deterministic(before)
        memory.fill_uninitialized_memory = fill


@contextmanager
def _undrawn(subject: Subject) -> Generator[None]:
    """Where `init` draws every weight again, torch's own draws are left out: NaN shows for it."""
    with ExitStack() as stack:
        for kind in () if isinstance(subject.spec.init, FanIn) else (nn.Linear, nn.Embedding):
            stack.enter_context(patch.object(kind, "reset_parameters", lambda _: None))
        yield


def _deterministic(mode: bool, warn_only: bool = False) -> None:
    """As torch.use_deterministic_algorithms, which imports the compiler first: 3 CPU seconds."""
    torch._C._set_deterministic_algorithms(mode, warn_only=warn_only)


def _memory() -> Any:
    """Torch's settings of memory that nobody has written."""
    return torch.utils.deterministic


def _initialised(law: Law, subject: Subject, search: Search) -> Outcome:
    """No weight or buffer is left as memory was; each weight starts as `init` says."""
    expected = starts(subject.spec)
    names = {name: re.sub(r"\.\d+\.", ".*.", name) for name in expected}
    drawn = {
        name: Drawn(start)
        for own, start in expected.items()
        if start.law != "constant"
        for name in (own, names[own])
    }
    looked = models = 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(search.seed)
        while models < search.examples and looked < _MOST and _scarce(drawn, models):
            state = _made(subject)
            _take(state, expected, names, drawn)
            models += 1
            looked += sum(weight.numel() for weight in state.values())
    for name, numbers in drawn.items():
        if wrong := numbers.wrong():
            raise Broken(f"`{name}` {wrong}", ("init",))
    return held(law.id, law.statement, models, search.seed)


def _scarce(drawn: dict[str, Drawn], models: int) -> bool:
    """Whether another model has to be made to judge the numbers of all by."""
    return not models or any(numbers.count < _DRAWS for numbers in drawn.values())


def _made(subject: Subject) -> dict[str, Tensor]:
    """The weights of a new model; raises Broken where one was not written."""
    with _poisoned(), _undrawn(subject):
        made: nn.Module = subject.model_class()
    every = {**dict(made.named_parameters()), **dict(made.named_buffers())}
    for name, value in every.items():
        if value.is_floating_point() and not math.isfinite(float(value.detach().sum())):
            raise Broken(f"`{name}` is not initialised")
        if not value.requires_grad and isinstance(value, nn.Parameter):
            raise Broken(f"`{name}` takes no gradient")
    kept = made.state_dict()
    return {name: value.detach() for name, value in every.items() if name in kept}


def _take(
    state: dict[str, Tensor],
    expected: dict[str, Start],
    roles: dict[str, str],
    drawn: dict[str, Drawn],
) -> None:
    """Judge what is constant in a model; keep what is drawn, also with that of other blocks."""
    first: dict[str, str] = {}
    for name, start in expected.items():
        weight, role = state.get(name), roles[name]
        if weight is None:
            raise Broken(f"there is no `{name}`")
        if start.law == "constant":
            if wrong := unequal(weight, start):
                raise Broken(f"`{name}` {wrong}", _said(name))
            continue
        numbers = drawn_of(weight, start)
        for key in {name, role}:
            drawn[key].add(numbers)
        other = first.setdefault(role, name)
        alike = other != name and torch.equal(weight, state[other])
        if alike and bool((weight != weight.flatten()[0]).any()):
            raise Broken(f"`{other}` and `{name}` start with the same numbers")


def _said(name: str) -> Keys:
    """The keys of the spec that say how a constant weight starts."""
    owner, _, weight = name.partition("_head.")
    return ("heads", owner) if weight == "scale" else ("init",)


def _pure(subject: Subject, case: Case) -> None:
    """Two evaluations are alike and draw nothing at random."""
    made = lab.model(subject, case)
    outs: list[Any] = []
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(case.seed)
        before = torch.get_rng_state()
        for _ in range(2):
            outs.append(lab.call(made, case))
            if not torch.equal(torch.get_rng_state(), before):
                raise Broken("evaluation draws random numbers", ("streams",))
            torch.manual_seed(case.seed)
    for name in subject.spec.heads:
        first, second = (getattr(out.heads, name) for out in outs)
        if not torch.equal(torch.nan_to_num(first), torch.nan_to_num(second)):
            raise Broken(f"two evaluations give head `{name}` different values", ("heads", name))


def _dropped(subject: Subject, search: Search) -> None:
    """In training every dropout has the rate of its stream, and keeps the mean."""
    made: Any = subject.model_class()
    for name, stream in subject.spec.streams.items():
        drops = [
            (inner, module)
            for inner, module in lab.part(made, f"{name}_stream").named_modules()
            if isinstance(module, nn.Dropout)
        ]
        rates = {i: _rates(stream.layer(i)) for i in range(stream.depth)}
        wanted = sum(len({*each.values()} - {0.0}) for each in rates.values())
        if len(drops) != wanted:
            said = f"{len(drops)} dropouts for {wanted} blocks that drop"
            raise Broken(f"stream `{name}` has {said}", ("streams", name, "dropout"))
        for inner, module in drops:
            _, layer, module_name = inner.split(".")
            each = rates[int(layer)]
            rate = each.get(module_name.removesuffix("_dropout"), max(each.values()))
            wrong = _rate(module.train(), rate, search.seed)
            if wrong:
                said = f"`{name}_stream.{inner}` {wrong}"
                raise Broken(said, ("streams", name, "dropout"))

    for name, module_name in lab.embeddings(subject):
        rate = subject.spec.modalities[name].drops
        inner = [x for x in lab.part(made, module_name).modules() if isinstance(x, nn.Dropout)]
        if len(inner) != (rate > 0):
            said = f"{len(inner)} dropouts, not {int(rate > 0)}"
            raise Broken(f"`{module_name}` has {said}", ("modalities", name))
        for module in inner:
            if wrong := _rate(module.train(), rate, search.seed):
                raise Broken(f"a dropout of `{module_name}` {wrong}", ("modalities", name))


def _rates(kind: Stream) -> dict[str, float]:
    """Of each sub-layer of a layer by its name."""
    return {one.name: one.of.dropout for one in kind.sublayers}


def _rate(module: nn.Module, rate: float, seed: int) -> str | None:
    """Why a module does not drop at this rate; None where it does."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        out: Tensor = module(torch.ones(_DRAWS, dtype=torch.float64))
    share = float((out == 0).double().mean())
    if abs(share - rate) > _SIGMAS * math.sqrt(rate * (1 - rate) / _DRAWS):
        return f"drops {share:.3g} of what passes, not {rate:g}"
    kept = out[out != 0]
    wrong = None if not len(kept) else difference(kept, torch.full_like(kept, 1 / (1 - rate)))
    return f"keeps numbers of which one {wrong}" if wrong else None


def _applied(subject: Subject, case: Case) -> None:
    """In training a dropout is run after every sub-layer that drops, and nowhere else."""
    made = lab.model(subject, replace(case, mode="train"))
    for name, stream in subject.spec.streams.items():
        every = [rate for i in range(stream.depth) for rate in _rates(stream.layer(i)).values()]
        dropping = sum(rate > 0 for rate in every)
        if not dropping or stream.halting:
            continue
        runs, wanted = _drops(made, name, case), dropping * (stream.repeat or 1)
        if runs != wanted:
            said = f"drops {runs} times in {stream.depth} blocks, not {wanted}"
            raise Broken(f"stream `{name}` {said}", ("streams", name, "dropout"))


def _drops(made: nn.Module, stream: str, case: Case) -> int:
    """How often a dropout of a stream is run."""
    runs = 0

    def count(*_: Any) -> None:
        nonlocal runs
        runs += 1

    with ExitStack() as stack, torch.no_grad():
        for module in lab.part(made, f"{stream}_stream").modules():
            if isinstance(module, nn.Dropout):
                stack.callback(module.register_forward_hook(count).remove)
        lab.call(made, case, targets=False)
    return runs


def _by_batch(subject: Subject, case: Case) -> None:
    """In training a batch norm goes by all places of what is there, of which it keeps a share."""
    norms = {
        f"{module}.stem.{word}": (name, step)
        for name, module in lab.embeddings(subject)
        for word, step in named(getattr(subject.spec.modalities[name], "stem", None) or ())
        if isinstance(step, BatchNorm)
    }
    if not norms:
        return
    before: nn.Module = lab.model(subject, replace(case, mode="train"))
    made, passed = deepcopy(before), dict[str, tuple[Tensor, Tensor]]()
    with ExitStack() as stack, torch.no_grad():
        for place in norms:
            hook = partial(_note, passed, place)
            stack.callback(lab.part(made, place).register_forward_hook(hook).remove)
        lab.call(made, case, targets=False)
    for place, (name, step) in norms.items():
        if place in passed:
            there_b = (case.batch.lengths[name] > 0) | (name in case.untold)
            # Samples that are not there may be left out already.
            found = (x if len(x) != len(there_b) else x[there_b] for x in passed[place])
            x, y = (rows.movedim(1, -1).flatten(0, 2) for rows in found)
            _standardised(step, (x, y), *(lab.part(each, place) for each in (before, made)))


def _note(
    passed: dict[str, tuple[Tensor, Tensor]], place: str, _: Any, given: Any, out: Tensor
) -> None:
    passed[place] = (given[0].clone(), out.clone())


def _standardised(
    step: BatchNorm, rows: tuple[Tensor, Tensor], before: nn.Module, after: nn.Module
) -> None:
    """Raise Broken unless rows [n, D] were normed by their own, and a share of it is kept."""
    old, new = before.state_dict(), after.state_dict()
    x, y = rows
    if len(x) < 2:  # of which there is no variance
        wanted = [old[name] for name in KEPT]
    else:
        normed = standard(x.T, step.eps).T * old["weight"] + old["bias"]
        if wrong := difference(y, normed):
            raise Broken(f"a batch norm in training gives numbers of which one {wrong}")
        found = zip(KEPT, (x.mean(0), x.var(0)), strict=True)
        wanted = [old[name] + step.momentum * (own - old[name]) for name, own in found]
    for name, value in zip(KEPT, wanted, strict=True):
        if wrong := difference(new[name], value):
            raise Broken(f"`{name}` of a batch norm {wrong} after a batch")


def _run(subject: Subject, case: Case) -> None:
    _pure(subject, case)
    _applied(subject, case)
    _by_batch(subject, case)


def _quiet(law: Law, subject: Subject, search: Search) -> Outcome:
    """Dropouts as they were made, then runs of them."""
    _dropped(subject, search)
    return tried(_run, partial(cases, modes=("eval",)), most=20)(law, subject, search)


@_poisoned()
def _kept(subject: Subject, case: Case) -> None:
    """A model made without memory and then loaded gives what the first gives."""
    first = lab.model(subject, case)
    with torch.device("meta"):
        made: nn.Module = subject.model_class()
    second = made.double().to_empty(device="cpu").train(case.mode == "train")
    second.load_state_dict(first.state_dict())
    with torch.no_grad(), lab.dry(first), lab.dry(second):
        outs = [lab.call(model, case) for model in (first, second)]
    for name in subject.spec.heads:
        mine, theirs = (getattr(out.heads, name) for out in outs)
        if difference(theirs, mine) is not None:
            raise Broken(f"head `{name}` of a loaded model is another", ("heads", name))
    tied = {name: id(value) for name, value in first.named_parameters(remove_duplicate=False)}
    if len(set(tied.values())) != len(list(second.parameters())):
        raise Broken("a loaded model shares other weights")


P49 = Law(
    "P49",
    "eval purity",
    "evaluation draws no random number; in training dropout has its rate and keeps the mean, "
    "and batch norms go by the samples that are there",
    _quiet,
)
P53 = Law(
    "P53",
    "round trip",
    "a model made on the meta device and loaded from another gives what the other gives",
    tried(_kept, cases, most=5),
)
P55 = Law(
    "P55",
    "initialised state",
    "a new model leaves no weight or buffer as memory was, and its weights start as `init` says",
    _initialised,
)
