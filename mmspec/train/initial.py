"""Weights that a run begins with, of a file that says it is of the run's spec."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from mmspec.families.importing import unusable
from mmspec.schema.spec import Spec
from mmspec.weights import files, stamp


def check(spec: Spec, path: str | None) -> None:
    """Raise MM622 or MM625 where there is a file that cannot be what a run begins with."""
    if path is not None:
        stamp.check(files.opened(path), spec)


def taken(model: nn.Module, spec: Spec, path: str | None) -> tuple[str, ...]:
    """Give a model the weights of a file; a line that says which it has, and which are drawn.

    Raises MmspecError as `check`, and MM622 where a file holds other weights than it says.
    """
    if path is None:
        return ()
    state = stamp.load_weights(spec, path)
    try:
        lost, strange = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise unusable(Path(path), f"does not fit the model: {str(error)[:200]}", "") from None
    if strange:
        raise unusable(Path(path), f"holds `{strange[0]}`, which the model has not", "")
    parts = ", ".join(dict.fromkeys(name.partition(".")[0] for name in lost))
    drawn = f"; drawn: {len(lost)} of {parts}" if lost else ""
    return (f"begins with {len(state)} weights of {path}{drawn}",)
