"""The laws that every emitted model owes its spec, in order: `LAWS`."""

from __future__ import annotations

from mmspec.verify.laws import (
    meaning,
    p01,
    p03,
    p06,
    p10,
    p13,
    p15,
    p17,
    p30,
    p41,
    p51,
    p54,
    p56,
    precision,
    state,
)
from mmspec.verify.laws.law import Law, Search

__all__ = ["LAWS", "Law", "Search"]

LAWS: tuple[Law, ...] = (
    p01.P1,
    p01.P2,
    p03.P3,
    p06.P6,
    p10.P10,
    p13.P13,
    p13.P14,
    p15.P15,
    p17.P17,
    p17.P18,
    precision.P28,
    p03.P29,
    p30.P30,
    precision.P40,
    p41.P41,
    p41.P42,
    state.P49,
    p51.P51,
    state.P53,
    p54.P54,
    state.P55,
    p56.P56,
    p56.P57,
    meaning.P59,
    meaning.R1,
)
