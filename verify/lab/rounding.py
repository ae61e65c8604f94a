"""How far a right attention may be from float64: bounds on rounding, component by component.

The inputs are rounded first, so they are exact. In a storage type of unit roundoff u, with P, O and
dS of the run in float64: one rounding of weights and one of each result, and products in float32
(f = 2^-21 (1 + the row's greatest |q||k|)). In float32 that, and 1e-5 + 1.3e-6 |ref|.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

ROUNDOFF = {torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}
SMALLEST = {torch.float16: 2.0**-24}
TINY = 2.0**-100  # of other types: where weights are no normal numbers of float32, they are 0


@dataclass(frozen=True)
class Exact:
    """Output, log-sum-exp, and gradients of queries, keys and values; and their bounds."""

    values: tuple[Tensor, ...]
    bounds: tuple[Tensor, ...]

    def ratios(self, found: tuple[Tensor, ...]) -> list[float]:
        """The greatest error of each as a share of its bound; infinite where one is no number."""
        pairs = zip(found, self.values, self.bounds, strict=True)
        errors = [(one.double() - value).abs() / bound for one, value, bound in pairs]
        return [float(x.nan_to_num(torch.inf).max()) if x.numel() else 0.0 for x in errors]


def exact(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    seen: Tensor,
    added: Tensor | float = 0.0,
    scale: float | None = None,
    sink_h: Tensor | None = None,
    strict: bool = True,
) -> Exact:
    """Attention of queries [B, H, Tq, w] on keys and values [B, G, Tk, ...], and its gradients.

    g: the gradient of the output; seen: bool, broadcasts to [B, H, Tq, Tk]. The log-sum-exp of a
    query that sees nothing is 0. added: to scores, in float64. scale: instead of one over the root
    of the width. sink_h: a score of each head that joins the softmax, with the value 0. strict: in
    float32 1e-5 + 1.3e-6 |ref| alone, which scores in the hundreds are beyond.
    """
    dtype = q.dtype
    factor: float = q.shape[-1] ** -0.5 if scale is None else scale
    shared = q.shape[1] // k.shape[1]
    q, k, v, g = (x.detach().double() for x in (q, k, v, g))
    k, v = (x.repeat_interleave(shared, 1) for x in (k, v))
    scores = (q @ k.mT * factor + added).masked_fill(~seen, -torch.inf)
    blind = ~seen.any(-1, keepdim=True)
    total = scores.logsumexp(-1)
    if sink_h is not None:
        total = torch.logaddexp(total, sink_h.detach().double()[:, None])
    total = total.masked_fill(blind[..., 0], 0.0)
    p = (scores - total[..., None]).exp() * seen
    y, dp = p @ v, g @ v.mT
    ds = p * (dp - (g * y).sum(-1, keepdim=True))
    dq, dk, dv = factor * ds @ k, _over(factor * ds.mT @ q, shared), _over(p.mT @ g, shared)
    values = y, total, dq, dk, dv
    if dtype not in ROUNDOFF and strict:
        return Exact(values, tuple(1e-5 + 1.3e-6 * x.abs() for x in values))
    u, least = ROUNDOFF.get(dtype, 2.0**-24), SMALLEST.get(dtype, TINY)
    most = added.abs() if isinstance(added, Tensor) else abs(added)
    greatest = ((q.abs() @ k.abs().mT * factor + most) * seen).amax(-1, keepdim=True)
    f = 2.0**-21 * (1 + greatest)
    read, asked = p @ v.abs(), (g * (p @ v.abs())).abs()
    apart = torch.minimum(
        2 * u * asked.sum(-1, keepdim=True), 3 * u * asked.norm(dim=-1, keepdim=True)
    )
    e = u * ds.abs() + p * apart
    e = e + f * p * (g.abs() @ v.abs().mT + (g.abs() * read).sum(-1, keepdim=True))
    of_values = 1 + seen.double() @ v.abs()
    bounds: tuple[Tensor, ...] = (
        (2 * u + f) * read + least * of_values,
        1e-5 + f[..., 0] + 1.3e-6 * total.abs(),
        factor * e @ k.abs() + u * dq.abs() + least * (1 + seen.double() @ k.abs()),
        _over(factor * e.mT @ q.abs() + least * (1 + seen.mT.double() @ q.abs()), shared)
        + u * dk.abs(),
        _over(((2 * u + f) * p).mT @ g.abs() + least * (1 + seen.mT.double() @ g.abs()), shared),
    )
    if dtype not in ROUNDOFF:
        pairs = zip(values, bounds, strict=True)
        bounds = tuple(1e-5 + 1.3e-6 * x.abs() + more for x, more in pairs)
    return Exact(values, bounds)


def _over(x: Tensor, shared: int) -> Tensor:
    """The sum over query heads that share keys."""
    total: Tensor = x.unflatten(1, (-1, shared)).sum(2)
    return total
