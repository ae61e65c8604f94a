"""P28, P40: what is decided or placed in low precision is so only after it was computed exactly."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from mmspec.verify.lab import lab
from mmspec.verify.lab.case import Case, cases, shortened
from mmspec.verify.lab.operators import Operators
from mmspec.verify.lab.search import tried
from mmspec.verify.law import Law
from mmspec.verify.outcome import Broken
from mmspec.verify.strategies import Inputs, inputs
from mmspec.verify.subject import Subject

LOW = torch.bfloat16
TIES = (None, 1.0, 1.01)
"""Logits of the last expert by those of the first: any, equal, nearly so."""
_LONG = 1024
"""Tokens up to which positions are tried."""
UNIT = 2.0**-8
"""Twice the unit roundoff of bfloat16: one rounding of a sine or cosine, and some."""


class _Angles(Operators):
    """Notes the results of every sine and cosine."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Tensor] = []

    def ran(self, name: str, given: tuple[Any, ...], out: Any) -> None:
        """Note one result."""
        if name in ("sin", "cos"):
            self.found.append(out)


def lowered(subject: Subject, case: Case, tied: float | None = None) -> nn.Module:
    """The model of a case in bfloat16; `tied`: what the last expert's logits are of the first's."""
    key = ("low", case.seed, case.sharp, tied)
    if key not in subject.kept:
        made: nn.Module = subject.model_class().double()
        values = {name: x.detach() for name, x in lab.weights(subject, case).items()}
        for name in values:
            if tied is not None and name.endswith(".router.weight"):
                values[name] = torch.cat([values[name][:-1], tied * values[name][:1]])
        made.load_state_dict(values)
        subject.kept[key] = made.to(LOW).eval()
    kept: nn.Module = subject.kept[key]
    return kept


def low_batch(batch: Inputs) -> Inputs:
    """The same batch with floating inputs in bfloat16."""
    tensors = {
        name: values if values is None or not values.is_floating_point() else values.to(LOW)
        for name, values in batch.tensors.items()
    }
    added = {n: x.to(LOW) if x.is_floating_point() else x for n, x in batch.added.items()}
    return replace(batch, tensors=tensors, added=added)


def _placed(subject: Subject) -> bool:
    kinds = ("sincos", "sincos-2d", "rotary")
    return any(modality.position.kind in kinds for modality in subject.spec.modalities.values())


def _angles(subject: Subject, case: Case, dtype: torch.dtype) -> list[Tensor]:
    """Of a model that is brought to a type, where it makes its tables, and of its forward."""
    made, noted = subject.model_class(), _Angles()
    with noted, torch.no_grad():
        lab.call(made.to(dtype).eval(), case, targets=False)
    return noted.found


def _precise(subject: Subject, case: Case) -> None:
    """The same sines and cosines in bfloat16 as in float64, up to a rounding."""
    case = replace(case, mode="eval")
    exact = _angles(subject, case, torch.float64)
    rough = _angles(subject, case.with_batch(low_batch(case.batch)), LOW)
    if any(len({x.shape[0] for x in found}) == 0 for found in (exact, rough)):
        return
    for mine, theirs in zip(rough, exact, strict=False):
        if mine.shape != theirs.shape:
            continue
        error = float((mine.double() - theirs.double()).abs().max()) if mine.numel() else 0.0
        if error > UNIT:
            raise Broken(f"in bfloat16 a sine or cosine of positions is off by {error:.3g}")


@st.composite
def _longest(draw: st.DrawFn, subject: Subject) -> Case:
    """A case of one sample at its longest."""
    spec = shortened(subject.spec, _LONG)
    return Case(draw(inputs(spec, batch=(1, 1), absent=False, ragged=False)))


@dataclass(frozen=True, slots=True)
class _Router:
    """A routed stream: what routes in its blocks, how many experts a token goes to, of how many."""

    stream: str
    layers: tuple[str, ...]
    choose: int
    experts: int


def _routers(subject: Subject) -> list[_Router]:
    found = []
    for name, stream in subject.spec.streams.items():
        every = {
            f"{i}.{one.name}": one.of.feed_forward.routed
            for i in range(stream.depth)
            for one in stream.layer(i).feed_forwards
        }
        routed = {path: one for path, one in every.items() if one is not None}
        for chosen, experts in list(routed.values())[:1]:
            if experts > 1:
                found.append(_Router(name, tuple(routed), chosen, experts))
    return found


def _decided(subject: Subject, case: Case) -> None:
    """Loads in bfloat16 are those of the router's logits, decided in float32, the lower first."""
    case = replace(case, mode="train")
    made = lowered(subject, case, tied=TIES[case.seed % len(TIES)]).train()
    for router in _routers(subject):
        logits, loads = _logits(subject, made, case, router)
        for i, (layer, load) in enumerate(zip(logits, loads, strict=True)):
            valid = lab.valid(subject, case.batch, router.stream)
            wanted = _load(layer[valid], router)
            if not torch.allclose(load.double(), wanted, atol=1e-6):
                raise Broken(
                    f"in bfloat16 layer {i} of `{router.stream}` has the load {_shown(load)}, "
                    f"its logits decided in float32 give {_shown(wanted)}",
                    ("streams", router.stream, "feed_forward"),
                )


def _shown(load: Tensor) -> str:
    return "[" + ", ".join(f"{share:.4g}" for share in load.tolist()) + "]"


def _load(logits: Tensor, router: _Router) -> Tensor:
    """Share of assignments by expert of tokens' logits [n, E]."""
    order = torch.softmax(logits.float(), -1).sort(dim=-1, descending=True, stable=True).indices
    counts = torch.bincount(order[:, : router.choose].flatten(), minlength=router.experts)
    return counts.double() / max(1, int(counts.sum()))


def _logits(
    subject: Subject, made: nn.Module, case: Case, router: _Router
) -> tuple[list[Tensor], Tensor]:
    """The router's output of every layer as it ran, and the loads that the model tells."""
    found: list[Tensor] = []

    def note(_module: Any, _given: Any, out: Any) -> None:
        found.append(out)

    with ExitStack() as stack, torch.no_grad():
        stack.enter_context(lab.dry(made))
        for path in router.layers:
            module = lab.part(made, f"{router.stream}_stream.blocks.{path}.router")
            stack.callback(module.register_forward_hook(note).remove)
        out = lab.call(made, case.with_batch(low_batch(case.batch)), targets=False)
    loads = out.statistics.get(f"{router.stream}.load")
    if loads is None or len(loads) != len(found):
        raise Broken(f"there is no load for every layer of `{router.stream}`")
    return found, loads


P28 = Law(
    "P28",
    "precise positions",
    "in bfloat16 sines and cosines of positions are those of float64, rounded once",
    tried(_precise, _longest, most=3),
    lambda subject: None if _placed(subject) else "no modality has sinusoidal or rotary positions",
    keeps=("head", "tokens"),
)
P40 = Law(
    "P40",
    "near-ties",
    "in bfloat16 tokens go to the experts that float32 decides, of equal ones to the lower",
    tried(_decided, cases),
    lambda subject: None if _routers(subject) else "no token is routed",
)
