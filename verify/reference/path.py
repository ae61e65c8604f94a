"""Paths: features of a grid [rows, columns, D], or a line [n, D], through each step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import torch
from torch import Tensor

from mmspec.schema import path as kinds
from mmspec.verify.reference.arithmetic import Shapes, Weights, activate, linear, linear_shapes
from mmspec.verify.reference.norm import standard

KEPT = ("running_mean", "running_var")
"""What a batch norm keeps of what it saw in training, beside its weights."""

Steps = tuple[kinds.OneStep, ...]


def named(steps: Steps) -> Iterator[tuple[str, kinds.OneStep]]:
    """Each step with the name of its module: its word, a second one `{word}_2`."""
    seen: Counter[str] = Counter()
    for step in steps:
        word = step.kind.replace("-", "_")
        seen[word] += 1
        yield word + (f"_{seen[word]}" if seen[word] > 1 else ""), step


def run(steps: Steps, w: Weights, x: Tensor, bias: bool, norm_bias: bool) -> Tensor:
    """What comes out; bias, norm_bias: of maps and norms that do not say it themselves."""
    for name, step in named(steps):
        inner = w.at(name)
        match step:
            case kinds.LinearMap():
                x = linear(x, inner, bias if step.bias is None else step.bias)
            case kinds.PathNorm():
                x = standard(x, step.eps) * inner["weight"]
                x = x + inner["bias"] if norm_bias else x
            case kinds.BatchNorm():
                x = (x - inner["running_mean"]) / torch.sqrt(inner["running_var"] + step.eps)
                x = x * inner["weight"] + inner["bias"]
            case kinds.Activation():
                x = activate(step.kind, x)
            case kinds.Gate():
                half, gate = x.chunk(2, -1)
                x = half / (1 + torch.exp(-gate))
            case kinds.Convolution():
                x = _convolution(step, inner, x, bias if step.bias is None else step.bias)
            case kinds.Pooling():
                x = _pooling(step, x)
    return x


def _convolution(step: kinds.Convolution, w: Weights, x: Tensor, bias: bool) -> Tensor:
    """A sum over the places of the kernel, of each group of features by itself."""
    read, given = x.shape[-1] // step.groups, step.features // step.groups
    found = []
    for group in range(step.groups):
        part = x[..., group * read : (group + 1) * read]
        weight = w["weight"][group * given : (group + 1) * given].flatten(2)
        squares = _squares(part, step.square, 0.0)
        found.append(sum(there @ weight[..., at].T for at, there in enumerate(squares)))
    y = torch.cat([x for x in found if isinstance(x, Tensor)], -1)
    return y + w["bias"] if bias else y


def _pooling(step: kinds.Pooling, x: Tensor) -> Tensor:
    """Of what is there of each square."""
    if step.kind == "max":
        every = [*_squares(x, step.square, -torch.inf)]
        return torch.stack(every).amax(0)
    counted = torch.cat([x, torch.ones_like(x[..., :1])], -1)
    sums = torch.stack([*_squares(counted, step.square, 0.0)]).sum(0)
    return sums[..., :-1] / sums[..., -1:]


def _squares(x: Tensor, square: kinds.Square, edge: float) -> Iterator[Tensor]:
    """For each place of the kernel, what stands there for every square: [rows, columns, D]."""
    if x.dim() == 2:
        yield from _runs(x, square)
        return
    rows, columns, features = x.shape
    pad = square.padding
    whole = torch.full((rows + 2 * pad, columns + 2 * pad, features), edge, dtype=x.dtype)
    whole[pad : pad + rows, pad : pad + columns] = x
    down, across = (1 + (n + 2 * pad - square.reach - 1) // square.stride for n in (rows, columns))
    for i in range(square.kernel):
        for j in range(square.kernel):
            first, left = i * square.dilation, j * square.dilation
            there = whole[first :: square.stride, left :: square.stride]
            yield there[:down, :across]


def _runs(x: Tensor, square: kinds.Square) -> Iterator[Tensor]:
    """For each place of the kernel, what stands there for every run of a line: [n, D]."""
    zeros = torch.zeros(square.padding, x.shape[1], dtype=x.dtype)
    whole = torch.cat([zeros, x, zeros])
    count = 1 + (len(whole) - square.reach - 1) // square.stride
    for i in range(square.kernel):
        yield whole[i * square.dilation :: square.stride][:count]


def shapes(steps: Steps, features: int, bias: bool, norm_bias: bool, axes: int = 2) -> Shapes:
    """Names and shapes of the weights; axes: 2 of a grid, 1 of a line."""
    found: Shapes = {}
    for name, step in named(steps):
        match step:
            case kinds.LinearMap():
                own = bias if step.bias is None else step.bias
                found |= linear_shapes(name, features, step.features, own)
            case kinds.PathNorm():
                found[f"{name}.weight"] = (features,)
                found |= {f"{name}.bias": (features,)} if norm_bias else {}
            case kinds.BatchNorm():
                found |= {f"{name}.{each}": (features,) for each in ("weight", "bias", *KEPT)}
            case kinds.Convolution():
                square = (step.kernel,) * axes
                found[f"{name}.weight"] = (step.features, features // step.groups, *square)
                own = bias if step.bias is None else step.bias
                found |= {f"{name}.bias": (step.features,)} if own else {}
        features = step.made(features)
    return found


def made_of(steps: Steps, size: tuple[int, int], cell: int, grid: tuple[int, int]) -> Tensor:
    """Of whose pixels each token is made, pixels being of the tokens of their cells.

    grid: rows and columns of tokens, the last of which have all pixels that are left.
    """
    cells = torch.eye(grid[0] * grid[1], dtype=torch.float64).reshape(*grid, -1)
    row, column = (
        [min(pixel // cell, count - 1) for pixel in range(side)]
        for side, count in zip(size, grid, strict=True)
    )
    return _seen(steps, cells[row][:, column]).flatten(0, 1) > 0


def made_of_frames(steps: Steps, frames: int, cell: int) -> Tensor:
    """Of whose frames each token is made, frames being of the tokens of their runs."""
    tokens = torch.eye(-(-frames // cell), dtype=torch.float64)
    return _seen(steps, tokens.repeat_interleave(cell, 0)[:frames]) > 0


def _seen(steps: Steps, seen: Tensor) -> Tensor:
    """What each token is made of, of what goes in."""
    for step in steps:
        if isinstance(step, kinds.Convolution | kinds.Pooling):
            seen = torch.stack([*_squares(seen, step.square, 0.0)]).amax(0)
    return seen
