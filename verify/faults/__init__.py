"""Faults to plant: every one must be caught by the laws it names; `FAULTS` lists them."""

from __future__ import annotations

from mmspec.verify.faults import (
    attention,
    block,
    costs,
    cross,
    decoding,
    fusion,
    halting,
    head,
    init,
    language,
    masks,
    modality,
    ngrams,
    norm,
    packing,
    path,
    routing,
    scores,
    stream,
    variants,
    ways,
)
from mmspec.verify.faults.fault import Fault

__all__ = ["FAULTS", "Fault"]

FAULTS: tuple[Fault, ...] = (
    *language.FAULTS,
    *init.FAULTS,
    *modality.FAULTS,
    *ngrams.FAULTS,
    *path.FAULTS,
    *stream.FAULTS,
    *variants.FAULTS,
    *block.FAULTS,
    *cross.FAULTS,
    *norm.FAULTS,
    *masks.FAULTS,
    *packing.FAULTS,
    *ways.FAULTS,
    *attention.FAULTS,
    *scores.FAULTS,
    *fusion.FAULTS,
    *routing.FAULTS,
    *halting.FAULTS,
    *head.FAULTS,
    *decoding.FAULTS,
    *costs.FAULTS,
)
