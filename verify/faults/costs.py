"""Faults of the closed forms: what they count, as if of another plan."""

from __future__ import annotations

from dataclasses import replace

from mmspec.compiler import ir
from mmspec.verify.faults.fault import Fault, heads, mixers, reckoned, sums
from mmspec.verify.faults.masks import widened
from mmspec.verify.faults.specs import CAPTION, CROSSED, JOINED, ROUTED


def _all_chosen(layer: ir.Experts) -> ir.Experts:
    return replace(layer, choose=layer.experts)


def _untied(head: ir.Head) -> ir.Head:
    answer = head.answer
    if isinstance(answer, ir.LanguageModel):
        return replace(head, answer=replace(answer, tied=None))
    return head


FAULTS: tuple[Fault, ...] = (
    Fault(
        "tied-counted-twice",
        "a tied output head is counted a second time",
        CROSSED,
        ("P54",),
        reckoned(heads(_untied)),
    ),
    Fault(
        "all-experts-active",
        "active parameters and FLOPs count every expert",
        ROUTED,
        ("P54",),
        reckoned(mixers(ir.Experts, _all_chosen)),
    ),
    Fault(
        "pairs-not-masked",
        "visible pairs leave out a mask",
        JOINED,
        ("P54",),
        reckoned(widened()),
    ),
    Fault(
        "positions-not-counted",
        "learned positions are no parameters",
        CAPTION,
        ("P54",),
        reckoned(sums(position=ir.Position("none"))),
    ),
    Fault(
        "key-heads-not-shared",
        "key heads are counted as if each query head had its own",
        CAPTION,
        ("P54",),
        reckoned(mixers(ir.Attention, lambda site: replace(site, kv_heads=site.heads))),
    ),
)
