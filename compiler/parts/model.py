"""What every model's forward needs: names checked, the batch size known."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def known(
    what: str, given: Mapping[str, Tensor] | None, names: tuple[str, ...]
) -> Mapping[str, Tensor]:
    """`given`, or nothing; raises ValueError when it names what the model does not have."""
    given = given or {}
    for name in given:
        if name not in names:
            raise ValueError(f"{what} has no {name!r}; names: {', '.join(names)}")
    return given


def batch_size(*inputs: Tensor | None) -> int:
    """Samples in the batch, from the first input that is there."""
    return next(x.shape[0] for x in inputs if x is not None)


def patches(length_b: Tensor | None, patch: int) -> Tensor | None:
    """Frames -> tokens of `patch` frames, rounded up."""
    return None if length_b is None else (length_b + patch - 1) // patch
