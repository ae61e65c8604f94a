"""P10: attention and gates are weights: none negative, together 1, and of what is visible only."""

from __future__ import annotations

import torch
from torch import Tensor

from mmspec.schema.fusion import Gated
from mmspec.verify.lab import lab
from mmspec.verify.lab.case import Case, cases
from mmspec.verify.lab.search import tried
from mmspec.verify.lab.site import Site, View, view, watch
from mmspec.verify.law import Law
from mmspec.verify.outcome import Broken
from mmspec.verify.subject import Subject

SUM = 1e-12
"""How far a sum of weights may be from 1, in float64."""


def constants(site: Site) -> Tensor:
    """A number for each feature of each key head [kv_heads * width], between 1 and 2."""
    count = site.kv_heads * site.width
    return 1 + torch.arange(count, dtype=torch.float64) / count


def _alike(site: Site, projected: Tensor) -> Tensor:
    """With values that are the same for every key."""
    projected = projected.clone()
    site.values(projected).copy_(constants(site))
    return projected


def _constant(site: Site, output: Tensor, seen: View) -> str | None:
    """Why what was read of constant values is not those constants; None where it is."""
    table = constants(site).unflatten(0, (site.kv_heads, site.width))
    expected = table[[site.key_head(head) for head in range(site.heads)]]
    found = output[seen.queries]
    sees = seen.seen.any(2).mT
    if not found[~sees].eq(0).all():
        return "a query that sees no key does not read 0"
    if site.sunk:
        small = (found >= 0) & (found <= expected * (1 + SUM))
        return None if small[sees].all() else "weights beside a sink sum to more than 1"
    error = torch.where(sees[:, :, None], (found - expected).abs() / expected, 0.0)
    if not error.numel() or float(error.amax()) <= SUM:
        return None
    row, head, _ = (int(i) for i in torch.unravel_index(error.argmax(), error.shape))
    total = float((found[row, head] / expected[head])[0])
    return f"weights of query {row}, head {head} sum to {total:.9g}"


def _hull(site: Site, values: Tensor, output: Tensor, seen: View) -> str | None:
    """Why what was read is no mean of visible values; None where it is."""
    keys, found = values[seen.keys], output[seen.queries]
    if not seen.seen.any():
        return None
    for head in range(site.heads):
        shown = seen.seen[head, :, :, None]
        of_head = keys[None, :, site.key_head(head)]
        low = torch.where(shown, of_head, torch.inf).amin(1)
        high = torch.where(shown, of_head, -torch.inf).amax(1)
        if site.sunk:
            low, high = low.clamp(max=0), high.clamp(min=0)
        slack = 1e-12 * (1 + of_head.abs().amax())
        outside = (found[:, head] < low - slack) | (found[:, head] > high + slack)
        outside &= seen.seen[head].any(1, keepdim=True)
        if outside.any():
            row = int(outside.nonzero()[0, 0])
            return f"query {row}, head {head} reads what lies outside the values that it sees"
    return None


def _check(subject: Subject, case: Case) -> None:
    constant = watch(subject, case, _alike)
    free = watch(subject, case, lambda _, projected: projected)
    for sample in range(case.batch.batch):
        for (site, first), (_, second) in zip(constant, free, strict=True):
            seen = view(subject, case, site, sample)
            wrongs = [_constant(site, output[sample], seen) for output in first.outputs]
            wrongs += [
                _hull(site, values[sample], output[sample], seen)
                for values, output in zip(second.values, second.outputs, strict=True)
            ]
            wrong = next((found for found in wrongs if found), None)
            if wrong:
                raise Broken(f"`{site.output}`, sample {sample}: {wrong}", site.keys)
    _check_gates(subject, case)


def _check_gates(subject: Subject, case: Case) -> None:
    gated = [n for n, s in subject.spec.streams.items() if isinstance(s.source, Gated)]
    if not gated:
        return
    seen = lab.run(subject, case, targets=False)
    for name in gated:
        gates = seen.statistics.get(f"{name}.gates")
        if gates is None:
            raise Broken(f"there is no statistic `{name}.gates`", ("streams", name, "from"))
        sources = lab.wiring(subject).sources[name]
        present = torch.stack(
            [lab.valid_source(subject, case.batch, source).any(1) for source in sources], 1
        )
        wrong = _gates(gates, present)
        if wrong:
            raise Broken(f"gates of `{name}`: {wrong}", ("streams", name, "from"))


def _gates(gates: Tensor, present: Tensor) -> str | None:
    """Why gates [B, n, D] are no weights of the sources present [B, n]; None where they are."""
    if gates.shape[:2] != present.shape:
        return f"shape {list(gates.shape)} for {list(present.shape)} samples and sources"
    if (gates < 0).any() or gates.isnan().any():
        return "one is negative or NaN"
    absent = gates[~present]
    if (absent != 0).any():
        return f"an absent source has the gate {float(absent.amax()):.9g}"
    error = (gates.sum(1) - present.any(1, keepdim=True).to(gates.dtype)).abs()
    sample = int(error.amax(1).argmax())
    if float(error.amax()) > SUM:
        return (
            f"of sample {sample} sum to {float(gates[sample].sum(0)[error[sample].argmax()]):.9g}"
        )
    return None


P10 = Law(
    "P10",
    "simplex",
    "weights of attention and gates are not negative, sum to 1 (with a sink), read visible values",
    tried(_check, cases, costs=2),
)
