"""Tensors as a family keeps them, and as models here do; both ways."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mmspec.families.family import Layout
from mmspec.schema.measures import Patched
from mmspec.schema.spec import Spec


@dataclass(frozen=True, slots=True)
class Weight:
    """A weight of a model here: of which part of the spec it is, and how it lies there."""

    spec: Spec
    name: str
    layout: Layout

    def here(self, there: list[Tensor]) -> Tensor:
        """From theirs; raises RuntimeError where they cannot lie so."""
        match self.layout:
            case "transposed":
                there = [each.mT for each in there]
            case "pixels" | "frames":
                if self.layout == "frames":
                    there = [each.transpose(1, 2) for each in there]
                there = [each.flatten(1) for each in there]
            case "batched":
                there = [each.squeeze(0) for each in there]
            case "flat":
                there = [each[None] for each in there]
            case _:
                pass
        found = torch.cat(there) if len(there) > 1 else there[0]
        if self.layout == "by-head":
            found = found.unflatten(0, (self._heads, 3, -1)).transpose(0, 1).flatten(0, 2)
        return found.contiguous()

    def there(self, here: Tensor, rows: list[int]) -> list[Tensor]:
        """As theirs; rows: how many of ours each of them has."""
        if self.layout == "by-head":
            here = here.unflatten(0, (3, self._heads, -1)).transpose(0, 1).flatten(0, 2)
        found = list(here.split(rows)) if len(rows) > 1 else [here]
        match self.layout:
            case "transposed":
                found = [each.mT for each in found]
            case "pixels" | "frames":
                found = [each.unflatten(1, self._patch) for each in found]
                if self.layout == "frames":
                    found = [each.transpose(1, 2) for each in found]
            case "batched":
                found = [each[None] for each in found]
            case "flat":
                found = [each.squeeze(0) for each in found]
            case _:
                pass
        return [each.contiguous() for each in found]

    @property
    def _heads(self) -> int:
        return self.spec.streams[self._part("_stream")].heads

    @property
    def _patch(self) -> tuple[int, ...]:
        """The axes of what a patch is made of, as models here keep them."""
        modality = self.spec.modalities[self._part("_embedding")]
        assert isinstance(modality, Patched), self.name
        return (*modality.shape(modality.step)[:-2], modality.side, modality.side)

    def _part(self, ending: str) -> str:
        return self.name.partition(".")[0].removesuffix(ending)
