"""P1 and P2: a token depends on nothing the spec hides from it, and on all that it shows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor

from mmspec.verify.lab import lab
from mmspec.verify.lab.case import Case, cases
from mmspec.verify.lab.change import AMOUNTS, altered
from mmspec.verify.lab.compare import moved
from mmspec.verify.lab.reach import reach
from mmspec.verify.lab.search import Vacuous, tried
from mmspec.verify.law import Law
from mmspec.verify.outcome import Broken
from mmspec.verify.reference.reach import Reach
from mmspec.verify.subject import Subject


@dataclass(frozen=True, slots=True)
class Probe:
    """A case, a number that picks one token of it, and how all others are changed."""

    case: Case
    pick: int
    amount: str

    def describe(self) -> str:
        """In words; what is found names the token."""
        return self.case.describe()


@dataclass(frozen=True, slots=True)
class Token:
    """One valid token of a stream, in one sample of a run."""

    stream: str
    sample: int
    index: int
    value: Tensor

    def __str__(self) -> str:
        return f"token {self.index} of stream `{self.stream}` in sample {self.sample}"


def picked(subject: Subject, case: Case, seen: lab.Seen, pick: int) -> Token:
    """The token a number picks; raises Vacuous where no stream holds a token."""
    found = {
        (stream, sample): tokens
        for stream in lab.wiring(subject).order
        for sample, tokens in enumerate(lab.tokens(subject, case, seen.streams, stream))
        if len(tokens)
    }
    if not found:
        raise Vacuous
    pick, place = divmod(pick, len(found))
    (stream, sample), tokens = list(found.items())[place]
    index = pick % len(tokens)
    return Token(stream, sample, index, tokens[index])


def influences(subject: Subject, seen: lab.Seen, token: Token) -> dict[str, Tensor]:
    """For every modality that was given: the largest gradient of a token by input token [B, T]."""
    ramp = torch.cos(torch.arange(token.value.numel(), dtype=torch.float64))
    given = [
        (name, module) for name, module in lab.embeddings(subject) if module in seen.embeddings
    ]
    leaves = [seen.embeddings[module] for _, module in given]
    gradients = torch.autograd.grad((token.value * ramp).sum(), leaves, allow_unused=True)
    found: dict[str, Tensor] = {}
    for (name, _), leaf, gradient in zip(given, leaves, gradients, strict=True):
        size = leaf.new_zeros(leaf.shape[:2]) if gradient is None else gradient.abs().amax(-1)
        size = size[:, sum(subject.spec.modalities[name].lead.values()) :]
        found[name] = size + found[name] if name in found else size
    return found


def connected(subject: Subject, case: Case, token: Token, found: Reach) -> dict[str, Tensor]:
    """For every modality the input tokens that a token may depend on: bool [B, T]."""
    allowed = {}
    for name in subject.spec.modalities:
        row = found.of(token.stream, name)[token.index]
        places = torch.zeros(
            case.batch.batch, lab.padded(subject.spec, case.batch, name), dtype=torch.bool
        )
        places[token.sample, : len(row)] = row
        allowed[name] = places
    return allowed


def _hidden(subject: Subject, probe: Probe) -> None:
    """Nothing that is hidden from a token has a gradient, or moves it."""
    case = probe.case
    seen = lab.run(subject, case, gradients=True, targets=False)
    token = picked(subject, case, seen, probe.pick)
    allowed, made = (
        connected(subject, case, token, reach(subject, case, token.sample, embedded))
        for embedded in (True, False)
    )
    if all(bool(places.all()) for places in allowed.values()):
        raise Vacuous
    where = ("streams", token.stream, "attention")
    for name, size in influences(subject, seen, token).items():
        leaks = (size != 0) & ~allowed[name]
        if leaks.any():
            sample, place = (int(i) for i in leaks.nonzero()[0])
            raise Broken(
                f"{token} depends on token {place} of {name} in sample {sample}, which nothing "
                f"connects it with (gradient {float(size[sample, place]):.3g})",
                where,
            )
    others = altered(subject.spec, case.batch, made, probe.amount)
    again = lab.run(subject, case.with_batch(others), targets=False)
    after = lab.tokens(subject, case, again.streams, token.stream)[token.sample]
    wrong = moved(token.value.detach(), after[token.index])
    if wrong is not None:
        said = f"when all that nothing connects it with becomes {probe.amount}"
        raise Broken(f"{token} {wrong} {said}", where)


def _shown(subject: Subject, probe: Probe) -> None:
    """All that a token may depend on has a gradient."""
    case = probe.case
    seen = lab.run(subject, case, gradients=True, targets=False)
    token = picked(subject, case, seen, probe.pick)
    allowed = connected(subject, case, token, reach(subject, case, token.sample, embedded=True))
    found = influences(subject, seen, token)
    for name, places in allowed.items():
        blind = places if name not in found else places & (found[name] == 0)
        if blind.any():
            sample, place = (int(i) for i in blind.nonzero()[0])
            raise Broken(
                f"{token} does not depend on token {place} of {name} in sample {sample}, which "
                "its masks show",
                ("streams", token.stream, "attention"),
            )


_PICKS = st.integers(0, 10_000)


def _probes(subject: Subject) -> st.SearchStrategy[Probe]:
    return st.builds(Probe, cases(subject, batch=(2, 3)), _PICKS, st.sampled_from(AMOUNTS))


def _plain(subject: Subject) -> st.SearchStrategy[Probe]:
    """Probes of what no weight or content makes too faint to be seen."""
    drawn = cases(subject, modes=("train",), content="gaussian").filter(
        lambda case: case.sharp == 1
    )
    return st.builds(Probe, drawn, _PICKS, st.just(""))


P1 = Law(
    "P1",
    "non-interference",
    "what masks, routes and validity do not connect has gradient 0 and moves nothing",
    tried(_hidden, _probes),
)
P2 = Law(
    "P2",
    "sensitivity",
    "every token depends on every input token that masks and fusions connect it with",
    tried(_shown, _plain),
)
