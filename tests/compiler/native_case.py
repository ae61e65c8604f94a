"""Attention by native code, held to float64: what the tests of it share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from mmspec.compiler.load_pattern import install
from mmspec.compiler.relations.meaning.geometry import Geometry, line
from mmspec.compiler.relations.meaning.sequence import SequenceMask, Side
from mmspec.compiler.runtime import native, native_build, pace, sparse_plan
from mmspec.compiler.runtime.sparse import attend, sparse_attention
from mmspec.expressions.mask import parse
from mmspec.verify.lab.rounding import exact

_NUMBERS = itertools.count()
Spans = tuple[Tensor | None, Tensor | None]


def there(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Native code, however long its compiler takes; without one the test is skipped."""
    monkeypatch.setattr(native_build, "_WAIT", 300.0)
    found = native_build.library()
    if found is None:
        pytest.skip("no compiler, or no AVX2")
    return found


def only_native(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every attention goes by native code, whatever it costs; its calls are listed."""
    found = there(monkeypatch)
    calls: list[str] = []

    def spied(name: str) -> Callable[[Any], None]:
        def call(problem: Any) -> None:
            calls.append(name)
            getattr(found, name)(problem)

        return call

    names = "attention_forward", "attention_backward"
    spies = SimpleNamespace(**{name: spied(name) for name in names})
    monkeypatch.setattr(native, "_library", lambda: spies)
    monkeypatch.setattr(native, "_LEAST", 0)
    monkeypatch.setattr(pace, "pace", lambda _: pace.Pace(1.0, 1.0))
    monkeypatch.setattr(sparse_plan, "_MARGIN", 1e9)
    return calls


def installed(text: str, geometry: Geometry | None = None, most: int | None = None) -> str:
    """The name of a new pattern of one segment; most: of its tokens where it packs documents."""
    name = f"native_{next(_NUMBERS)}"
    side = Side("x", line("n_x") if geometry is None else geometry, "n_x", most)
    packed = frozenset({"x"} if "document" in text else ())
    install(name, SequenceMask((side,), (side,), (("x", "x", parse(text)),), packed))
    return name


def inputs(
    sizes: tuple[int, int],
    *,
    batch: int = 1,
    heads: tuple[int, int] = (2, 2),
    widths: tuple[int, int] = (16, 16),
    seed: int = 0,
) -> list[Tensor]:
    """Queries, keys, values and the gradient of the output; sizes: of queries and keys."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [
        (batch, heads[of], sizes[of], widths[which])
        for of, which in ((0, 0), (1, 0), (1, 1), (0, 1))
    ]
    return [torch.randn(shape, generator=generator) for shape in shapes]


def computed(
    given: Sequence[Tensor],
    pattern: tuple[str, Sequence[int]],
    valid: Tensor | None = None,
    spans: Spans = (None, None),
) -> tuple[Tensor, ...]:
    """The output and the gradients of queries, keys and values."""
    leaves = [x.detach().requires_grad_() for x in given[:3]]
    y = sparse_attention(leaves[0], leaves[1], leaves[2], pattern, valid, spans)
    return y.detach(), *torch.autograd.grad(y, leaves, given[3])


def check(
    given: Sequence[Tensor],
    seen: Tensor,
    pattern: tuple[str, Sequence[int]],
    valid: Tensor | None = None,
    spans: Spans = (None, None),
) -> None:
    """Values, log-sum-exp and gradients within what rounding explains; what sees nothing is 0.

    seen: [q, k], or [b, q, k] where samples differ.
    """
    seen_bqk = seen.expand(len(given[0]), *seen.shape[-2:])
    if valid is not None:
        seen_bqk = seen_bqk & valid[:, None]
    truth = exact(given[0], given[1], given[2], given[3], seen_bqk[:, None])
    y, *grads = computed(given, pattern, valid, spans)
    found = [y, truth.values[1], *grads]
    if given[1].shape == given[2].shape:
        rest = *spans, pattern[0], list(pattern[1]), given[0].shape[-1] ** -0.5
        found[1] = attend(given[0], given[1], given[2], valid, *rest)[1]
    shares = truth.ratios(tuple(found))
    assert max(shares) <= 1, shares
    blind_bq, alone_bk = ~seen_bqk.any(2), ~seen_bqk.any(1)
    assert not y.transpose(1, 2)[blind_bq].any()
    assert not grads[0].transpose(1, 2)[blind_bq].any()
    for of_keys in grads[1:]:
        assert not of_keys.transpose(1, 2)[alone_bk].any()
