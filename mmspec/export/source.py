"""What is exported: a run's model with its weights, or a spec's with those of a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmspec import api
from mmspec.compiler import driver, ir
from mmspec.compiler.emit.package import Package
from mmspec.compiler.lower.lower import lower
from mmspec.diagnostics import MmspecError
from mmspec.schema.spec import Spec
from mmspec.train import checkpoint, folder, record
from mmspec.weights import stamp


@dataclass(frozen=True)
class Source:
    """A model to give away; attention is torch's alone, so that it needs no operators of ours."""

    spec: Spec
    package: Package
    state: Mapping[str, Tensor] | None
    """Its weights; None: as the model draws them, by seed 0."""
    described: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Of a run what `run.json` says of `inputs` and `outputs`."""

    @cached_property
    def plan(self) -> ir.Plan:
        """What the spec lowers to."""
        return lower(self.spec)

    @property
    def model(self) -> torch.nn.Module:
        """A new model with the weights, in evaluation mode."""
        from mmspec.compiler.load import load

        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            made = load(self.package)()
        if self.state is not None:
            made.load_state_dict(self.state)
        return made.eval()

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """Those that it is given away with."""
        return self.model.state_dict() if self.state is None else self.state


def source(path: str | os.PathLike[str], weights: str | None = None) -> Source:
    """What a run's folder, or a spec's file, gives away.

    weights: a file of the spec's, for a spec only. Raises MmspecError MM613 where a folder holds no
    run, MM622 and MM625 where a file of weights cannot be read or is of another spec.
    """
    if not Path(path).is_dir():
        spec = api.read(path)
        state = None if weights is None else stamp.load_weights(spec, weights)
        found = Source(spec, driver.emit(spec, "sdpa"), state)
        return found if weights is None else _fitting(found, Path(weights))
    stored = record.read(Path(path), "`mmspec train` makes one; a spec is a file")
    described = {key: stored.content[key] for key in ("inputs", "outputs")}
    state = checkpoint.weights(Path(path))
    package = driver.emit(stored.spec, "sdpa")
    return _fitting(Source(stored.spec, package, state, described), Path(path))


def _fitting(found: Source, where: Path) -> Source:
    """The same; MmspecError MM613 where its weights are not those of its model."""
    try:
        found.model  # noqa: B018 - which loads them
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        what = " ".join(str(error).split())[:200]
        raise _damaged(where, what) from None
    return found


def _damaged(where: Path, what: str) -> MmspecError:
    return folder.damaged(where, f"does not fit the model: {what}")
