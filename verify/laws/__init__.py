"""The laws that every emitted model owes its spec, in order: `LAWS`."""

from __future__ import annotations

from mmspec.verify.law import Law, Search
from mmspec.verify.laws import (
    absence,
    as_written,
    attention_weights,
    costs,
    decoding,
    halting,
    language,
    meaning,
    no_flow,
    objective,
    packing,
    padding,
    precision,
    prefixes,
    state,
    ways,
)

__all__ = ["LAWS", "Law", "Search"]

LAWS: tuple[Law, ...] = (
    no_flow.P1,
    no_flow.P2,
    as_written.P3,
    prefixes.P6,
    ways.P7,
    ways.P8,
    attention_weights.P10,
    ways.P12,
    padding.P13,
    padding.P14,
    packing.P15,
    decoding.P17,
    decoding.P18,
    ways.P19,
    ways.P20,
    ways.P23,
    ways.P24,
    precision.P28,
    as_written.P29,
    absence.P30,
    precision.P40,
    halting.P41,
    halting.P42,
    state.P49,
    objective.P51,
    state.P53,
    costs.P54,
    state.P55,
    language.P56,
    language.P57,
    meaning.P59,
    meaning.R1,
)
