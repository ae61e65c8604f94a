"""Faults of scores."""

from __future__ import annotations

from dataclasses import replace

from mmspec.compiler import ir
from mmspec.verify.faults.fault import Fault, mixers, plan, source
from mmspec.verify.faults.specs import SCORED


def _everywhere(site: ir.Attention) -> ir.Attention:
    """One of the segments has no scores."""
    assert site.scores is not None
    return replace(site, scores=replace(site.scores, lines=(False, True)))


FAULTS: tuple[Fault, ...] = (
    Fault(
        "alibi-slope",
        "slopes are those of half as many heads",
        SCORED,
        ("P3", "P59", "R1"),
        source((r"\(-8 / whole\)", "(-16 / whole)")),
    ),
    Fault(
        "alibi-slopes-go-on",
        "heads past a power of two go on with its series",
        SCORED,
        ("P3", "P59", "R1"),
        source(
            (
                r"\(torch\.arange\(heads - whole, dtype=torch\.float64\) \* 2 \+ 1\)",
                "(torch.arange(whole, heads, dtype=torch.float64) * 2 + 2)",
            ),
        ),
    ),
    Fault(
        "alibi-of-earlier-keys",
        "keys that come later lose nothing",
        SCORED,
        ("P3", "P59", "R1"),
        source((r"offset\.abs\(\)", "offset.clamp(min=0)")),
    ),
    Fault(
        "alibi-by-key-head",
        "query heads that share keys share a slope",
        SCORED,
        ("P3", "P59", "R1"),
        source(
            (r"-slopes_h \* offset", "-slopes_h[::2].repeat_interleave(2, 0) * offset"),
        ),
    ),
    Fault(
        "alibi-of-one-segment",
        "one of two segments with scores has none",
        SCORED,
        ("P3", "P59", "R1"),
        plan(mixers(ir.Attention, _everywhere)),
    ),
    Fault(
        "alibi-in-decoding",
        "the next tokens are as far from kept keys as these are from one another",
        SCORED,
        ("P17",),
        source(
            (r"at_bc\[:, :, None\] - place_bs", "0 * at_bc[:, :, None] - place_bs"),
            file="decoding.py",
        ),
    ),
)
