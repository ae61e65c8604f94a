"""Faults of what layers read of other streams."""

from __future__ import annotations

from dataclasses import replace

from mmspec.compiler import ir
from mmspec.verify.faults.fault import Fault, mixers, plan, read_as, reckoned, source
from mmspec.verify.faults.specs import DECODED, READER


def _entering(plan: ir.Plan) -> ir.Plan:
    """What enters the other stream is read, and not what leaves it."""
    enters = {stack.out.name: stack.source for stack in plan.stacks()}

    def changed(site: ir.Attention) -> ir.Attention:
        return site if site.read is None else replace(site, read=enters[site.read.name])

    return mixers(ir.Attention, changed)(plan)


def _narrower(site: ir.Attention) -> ir.Attention:
    """Keys are of tokens a feature less wide."""
    read = site.read
    return site if read is None else replace(site, read=replace(read, width=read.width - 1))


FAULTS: tuple[Fault, ...] = (
    Fault(
        "cross-reads-what-enters",
        "keys of a cross are what the other stream starts from",
        DECODED,
        ("P59", "R1"),
        plan(_entering),
    ),
    Fault(
        "cross-reads-another-stream",
        "an entry that names one stream reads another",
        DECODED,
        ("P3",),
        read_as(
            "left, norm_keys: true}, {parallel: [attention, {cross: right",
            "right, norm_keys: true}, {parallel: [attention, {cross: left",
        ),
    ),
    Fault(
        "cross-sees-padding",
        "a cross reads what stands after the end of the other stream",
        DECODED,
        ("P13", "P10", "R1"),
        source((r"self\.cross\((.*), masks\[0\], contexts", r"self.cross(\1, None, contexts")),
    ),
    Fault(
        "cross-adds-its-bias",
        "where the other stream has no token a bias is added all the same",
        DECODED,
        ("P59", "R1"),
        source((r"return y_btd\.masked_fill\(~mask\.any\(dim=-1\), 0\.0\)", "return y_btd")),
    ),
    Fault(
        "cross-keys-not-normed",
        "the norm of keys is there and not applied",
        DECODED,
        ("P59", "R1"),
        source((r"context_btd = self\.context_norm\(context_btd\)", "pass")),
    ),
    Fault(
        "cross-of-running-samples",
        "samples that go on read what those read that stood in their place",
        DECODED,
        ("R1",),
        source((r"each_btd\[keep_r\]", "each_btd[: int(keep_r.sum())]")),
    ),
    Fault(
        "decoding-cross-adds-its-bias",
        "in decoding a bias is added where the other stream has no token",
        READER,
        ("P17",),
        source((r"there\.any\(dim=-1\)", "there.any(dim=-1) | True"), file="decoding.py"),
    ),
    Fault(
        "decoding-cross-sees-padding",
        "in decoding a cross reads what stands after the end of the other stream",
        READER,
        ("P17",),
        source((r"crossed\.place_bs >= 0", "crossed.place_bs >= -1"), file="decoding.py"),
    ),
    Fault(
        "decoding-cross-keys-not-normed",
        "keys of a cross are kept as they were before their norm",
        READER,
        ("P17",),
        source((r"k_btf = norm\(.*\)\.flatten\(2\)", "pass"), file="decoding.py"),
    ),
    Fault(
        "cross-width-miscounted",
        "costs take keys of a cross to be less wide than they are",
        DECODED,
        ("P54",),
        reckoned(mixers(ir.Attention, _narrower)),
    ),
)
