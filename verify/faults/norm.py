"""Faults of norms."""

from __future__ import annotations

from dataclasses import replace

from mmspec.compiler import ir
from mmspec.verify.faults.fault import Fault, plan, source, sublayers
from mmspec.verify.faults.specs import JOINED, NORMED, PONDERED


def _eps(one: ir.Sublayer) -> ir.Sublayer:
    return replace(one, norm=replace(one.norm, eps=1e-5))


def _whole(one: ir.Sublayer) -> ir.Sublayer:
    """All features are one group."""
    assert isinstance(one.norm, ir.GroupNorm)
    return replace(one, norm=replace(one.norm, groups=1))


FAULTS: tuple[Fault, ...] = (
    Fault(
        "norm-eps",
        "norms use the usual eps and not the one that is given",
        PONDERED,
        ("P59", "R1"),
        plan(sublayers(_eps)),
    ),
    Fault(
        "norm-unweighted",
        "an rms norm leaves out its weight",
        JOINED,
        ("P59",),
        source((r"x_btd \* scale \* self\.weight", "x_btd * scale + 0 * self.weight")),
    ),
    Fault(
        "group-norm-over-tokens",
        "mean and variance of a group are over all tokens of a sample",
        NORMED,
        ("P1", "P59", "R1"),
        source(
            (r"x_btd\.flatten\(0, 1\)", "x_btd.transpose(1, 2)"),
            (r"y_rd\.view_as\(x_btd\)", "y_rd.transpose(1, 2)"),
        ),
    ),
    Fault(
        "group-norm-of-one-group",
        "all features are one group",
        NORMED,
        ("P59", "R1"),
        plan(sublayers(_whole)),
    ),
    Fault(
        "group-norm-of-every-nth-feature",
        "a group is every n-th feature and not features next to one another",
        NORMED,
        ("P59", "R1"),
        source(
            (
                r"x_btd\.flatten\(0, 1\)",
                "x_btd.flatten(0, 1).unflatten(1, (-1, 2)).transpose(1, 2).flatten(1)",
            ),
            (
                r"y_rd\.view_as\(x_btd\)",
                "y_rd.unflatten(1, (2, -1)).transpose(1, 2).reshape(x_btd.shape)",
            ),
        ),
    ),
)
