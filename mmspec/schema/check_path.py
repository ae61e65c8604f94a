"""Paths of heads: no step reads what stands beside a token."""

from __future__ import annotations

from collections.abc import Iterator

from mmspec.diagnostics import MmspecError
from mmspec.schema.spec import Spec
from mmspec.schema.wiring import Wiring, problem


def of_heads(spec: Spec, wiring: Wiring) -> Iterator[MmspecError]:
    """What is wrong with the paths of heads."""
    for name, head in spec.heads.items():
        for place, step in enumerate(head.path):
            if step.on_grid:
                message = f"a head maps each token by itself, and `{step.kind}` reads several"
                advice = "write linear, norm or an activation"
                yield problem(spec, "MM332", message, "heads", name, "through", place, help=advice)
