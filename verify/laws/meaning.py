"""P59 and R1: the compiled model means what the reference says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache

import torch
from torch import Tensor

from mmspec.schema.halting import KINDS
from mmspec.verify.differing import explain
from mmspec.verify.lab import lab
from mmspec.verify.lab.case import Case, cases
from mmspec.verify.lab.compare import difference
from mmspec.verify.lab.search import tried
from mmspec.verify.law import Law
from mmspec.verify.outcome import Broken, Keys
from mmspec.verify.reference import Result, expected_weights
from mmspec.verify.subject import Subject

_MOVES, _ULPS, _OF_ROUNDING = 3, 2.0**-50, 4.0
"""How often weights move and by how much of themselves, and the multiple of what that does to a
gradient by which it may be off."""

_MOST_ROUNDING = 1e-7
"""It is never more than this share of the largest gradient: a choice may tip when weights move."""

_STATISTICS: dict[str, tuple[str, ...]] = {
    "gates": ("from",),
    "load": ("feed_forward",),
    "balance": ("feed_forward",),
    **dict.fromkeys(
        (name for kind in KINDS.values() for name in (*kind.statistics, *kind.losses)),
        ("halting",),
    ),
}
"""Keys of a stream that a statistic or auxiliary loss is about."""


def check_streams(subject: Subject, case: Case, seen: lab.Seen, expected: Result) -> None:
    """Raise Broken at the first stream, in execution order, whose tokens are others."""
    for name in lab.wiring(subject).order:
        for step, trace in (("fused", seen.fused), ("tokens", seen.streams)):
            found = lab.tokens(subject, case, trace, name)
            for sample, (mine, theirs) in enumerate(
                zip(found, expected.trace[f"{name}.{step}"], strict=True)
            ):
                wrong = difference(mine, theirs)
                if wrong is not None:
                    raise Broken(*_blamed(subject, case, name, step, sample, wrong))


def _blamed(
    subject: Subject, case: Case, stream: str, step: str, sample: int, wrong: str
) -> tuple[str, Keys]:
    """What is wrong with a stream, and the keys of the spec that say how it should be."""
    if step == "tokens":
        said = f"sample {sample} of stream `{stream}` {wrong} (token, feature)"
        return said, ("streams", stream)
    said = f"the tokens that stream `{stream}` starts from: sample {sample} {wrong}"
    sources = lab.wiring(subject).sources[stream]
    if subject.spec.streams[stream].source.joins and len(sources) == 1:
        name = sources[0].name
        return said, ("streams", stream, "from") if sources[0].is_stream else ("modalities", name)
    return said, ("streams", stream, "from")


def check_outputs(subject: Subject, seen: lab.Seen, expected: Result) -> None:
    """Raise Broken at the first head, loss, auxiliary loss or statistic that is another."""
    for kind, found, theirs in (
        ("head", seen.heads, expected.heads),
        ("loss", seen.losses, expected.losses),
        ("auxiliary loss", seen.auxiliary, expected.auxiliary),
        ("statistic", seen.statistics, expected.statistics),
    ):
        for name, wrong in _others(found, theirs):
            raise Broken(f"{kind} `{name}` {wrong}", _keys(subject, kind, name))
    if expected.loss is None and seen.loss is not None:
        raise Broken("there is a loss without a target", ("heads",))
    if expected.loss is not None:
        off = "is missing" if seen.loss is None else difference(seen.loss, expected.loss)
        if off:
            raise Broken(f"the total loss {off}", ("objectives",))


def _others(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> Iterator[tuple[str, str]]:
    for name in expected:
        if name not in found:
            yield name, "is missing"
        elif (wrong := difference(found[name], expected[name])) is not None:
            yield name, wrong
    for name in found:
        if name not in expected:
            yield name, "is not of the language"


def _keys(subject: Subject, kind: str, name: str) -> Keys:
    """Where the spec speaks of an output."""
    if kind == "head":
        return "heads", name
    if kind == "loss":
        return ("objectives" if name in subject.spec.objectives else "heads"), name
    stream, _, what = name.partition(".")
    return "streams", stream, *_STATISTICS.get(what, ())


def check_case(subject: Subject, case: Case) -> None:
    """Raise Broken where anything that a forward gives differs."""
    expected = lab.reference(subject, case)
    seen = lab.run(subject, case)
    check_streams(subject, case, seen, expected)
    check_outputs(subject, seen, expected)


def check_gradients(subject: Subject, case: Case) -> None:
    """Raise Broken where outputs or the gradient of any weight differs."""
    expected = lab.reference(subject, case, gradients=True)
    seen = lab.run(subject, case, gradients=True)
    check_outputs(subject, seen, expected)
    known = expected_weights(subject.spec)
    w = {name: x for name, x in lab.weights(subject, case).items() if name in known}
    theirs = _objective(expected.heads, expected.loss, expected.heads)
    mine = _objective(seen.heads, seen.loss, expected.heads)
    parameters = dict(lab.model(subject, case).named_parameters())
    frozen = [name for name in w if not parameters[name].requires_grad]
    if frozen:
        raise Broken(f"`{frozen[0]}` takes no gradient", _weight(subject, frozen[0]))
    if not theirs.requires_grad:
        return
    if not mine.requires_grad:
        raise Broken("no gradient reaches any weight")
    found = _gradients(mine, parameters)

    @cache
    def rounding() -> dict[str, float]:
        return _rounding(subject, case, expected.heads, found)

    _compare(subject, list(w), _gradients(theirs, w), found, rounding)


def _gradients(total: Tensor, of: Mapping[str, Tensor]) -> dict[str, Tensor]:
    names = list(of)
    found = torch.autograd.grad(total, [of[name] for name in names], allow_unused=True)
    return {
        name: torch.zeros_like(of[name]) if gradient is None else gradient
        for name, gradient in zip(names, found, strict=True)
    }


def _rounding(
    subject: Subject, case: Case, asked: Mapping[str, Tensor], found: Mapping[str, Tensor]
) -> dict[str, float]:
    """How far the model's gradients go when each weight moves by some units in its last place.

    What rounding left of terms that cancel is then another number (Monte Carlo arithmetic, Parker
    et al. 2000); what is computed by another formula stays where it was.
    """
    parameters = dict(lab.model(subject, case).named_parameters())
    own = {name: values.detach().clone() for name, values in parameters.items()}
    generator = torch.Generator().manual_seed(0)
    far = dict.fromkeys(parameters, 0.0)
    try:
        for _ in range(_MOVES):
            with torch.no_grad():
                for name, values in parameters.items():
                    noise = torch.rand(values.shape, generator=generator, dtype=values.dtype)
                    values.copy_(own[name] * (1 + _ULPS * (2 * noise - 1)))
            seen = lab.run(subject, case, gradients=True)
            after = _gradients(_objective(seen.heads, seen.loss, asked), parameters)
            for name in far:
                far[name] = max(far[name], float((after[name] - found[name]).abs().max()))
    finally:
        with torch.no_grad():
            for name, values in parameters.items():
                values.copy_(own[name])
    return far


def _compare(
    subject: Subject,
    names: list[str],
    expected: Mapping[str, Tensor],
    found: Mapping[str, Tensor],
    rounding: Callable[[], Mapping[str, float]],
) -> None:
    """Raise Broken where a gradient differs by more than T64 and what rounding does to it."""
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    for name in names:
        if difference(found[name], expected[name], slack=1e-10 * largest) is None:
            continue
        slack = min(_OF_ROUNDING * rounding()[name], _MOST_ROUNDING * largest) + 1e-10 * largest
        wrong = difference(found[name], expected[name], slack=slack)
        if wrong is not None:
            raise Broken(f"the gradient of `{name}` {wrong}", _weight(subject, name))


def _weight(subject: Subject, name: str) -> Keys:
    """Where the spec speaks of a weight."""
    module = name.split(".")[0]
    for stream in subject.spec.streams:
        if module in (f"{stream}_stream", f"{stream}_fusion") or module.endswith(f"_to_{stream}"):
            return (
                ("streams", stream) if module.endswith("_stream") else ("streams", stream, "from")
            )
    for head in subject.spec.heads:
        if module == f"{head}_head":
            return "heads", head
    return ("modalities", module.partition("_embedding")[0])


def _objective(
    heads: Mapping[str, Tensor], loss: Tensor | None, asked: Mapping[str, Tensor]
) -> Tensor:
    """The loss and every valid output, weighted each in its own way, as one number."""
    total = torch.zeros((), dtype=torch.float64) if loss is None else loss
    for name, values in heads.items():
        shares = torch.cos(torch.arange(values.numel(), dtype=torch.float64)).reshape(values.shape)
        kept = ~asked[name].isnan()
        total = total + (values[kept] * shares[kept]).sum()
    return total


P59 = Law(
    "P59",
    "interpreter equality",
    "every stream, head, loss and statistic equals a naive interpreter's on the same weights",
    tried(check_case, cases, explain=explain),
)
R1 = Law(
    "R1",
    "meaning",
    "every output and the gradient of every weight equal the reference's in float64",
    tried(check_gradients, cases, explain=explain),
)
