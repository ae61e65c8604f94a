"""Faults of norms."""

from __future__ import annotations

from dataclasses import replace

from mmspec.compiler import ir
from mmspec.verify.faults.fault import Fault, plan, source, stacks, sublayers
from mmspec.verify.faults.specs import JOINED, NORMED, PONDERED, ROLES


def _eps(one: ir.Sublayer) -> ir.Sublayer:
    assert one.post is not None
    return replace(one, post=replace(one.post, eps=1e-5))


def _whole(one: ir.Sublayer) -> ir.Sublayer:
    """All features are one group."""
    assert isinstance(one.before, ir.GroupNorm)
    return replace(one, before=replace(one.before, groups=1))


def _of_sum(one: ir.Sublayer) -> ir.Sublayer:
    """The second norm of a sandwich is of the sum; a second module holds it."""
    return replace(one, before=None, after=None, post=one.after)


def _usual(stack: ir.Stack) -> ir.Stack:
    """The last norm has the eps of the others."""
    assert stack.final_norm is not None
    return replace(stack, final_norm=replace(stack.final_norm, eps=1e-2))


FAULTS: tuple[Fault, ...] = (
    Fault(
        "norm-after-lost",
        "what a block adds is not normed",
        ROLES,
        ("P59",),
        source((r"self\.attention_norm_after\((self\.attention\(.*\))\)\n", r"\1\n")),
    ),
    Fault(
        "norm-of-the-sum",
        "norms are of the sum, and not of what is added",
        ROLES,
        ("P59",),
        plan(sublayers(_of_sum)),
    ),
    Fault(
        "norm-offset-lost",
        "a weight that is kept less one is taken as it is kept",
        ROLES,
        ("P59", "R1"),
        source((r"\* \(1 \+ self\.weight\)", "* self.weight")),
    ),
    Fault(
        "final-norm-eps",
        "the norm after the last block has the eps of the others",
        ROLES,
        ("P59", "R1"),
        plan(stacks(_usual)),
    ),
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
