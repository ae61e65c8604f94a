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


def expect(name: str, x: Tensor, shape: tuple[int | None, ...], longest: int | None = None) -> None:
    """Raise ValueError unless `x` has the shape (None: any size) and axis 1 at most `longest`."""
    found = tuple(x.shape)
    fits = len(found) == len(shape) and all(
        size in (None, given) for size, given in zip(shape, found, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{name} must be [{wanted}], is {list(found)}")
    if longest is not None and found[1] > longest:
        raise ValueError(f"{name} has {found[1]} positions, at most {longest} are allowed")


def batch_size(*inputs: Tensor | None) -> int:
    """Samples in the batch, from the first input that is there."""
    return next(x.shape[0] for x in inputs if x is not None)


def patches(length_b: Tensor | None, patch: int) -> Tensor | None:
    """Frames -> tokens of `patch` frames, rounded up."""
    return None if length_b is None else (length_b + patch - 1) // patch


def tubelets(length_b: Tensor | None, frames: int, area: int) -> Tensor | None:
    """Frames -> tokens: `area` for each tubelet of so many frames, rounded up."""
    return None if length_b is None else (length_b + frames - 1) // frames * area
