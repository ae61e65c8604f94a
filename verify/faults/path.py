"""Faults of paths: steps of a stem."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from mmspec.compiler import ir
from mmspec.verify.faults.fault import Fault, nodes, reckoned, source
from mmspec.verify.faults.specs import STEMMED, TIMED


def _stems(change: Callable[[ir.Path], ir.Path]) -> Any:
    """Change the path of every stem."""

    def changed(node: ir.Node) -> ir.Node:
        raw: Any = node.raw if isinstance(node, ir.Embed) else None
        if not getattr(raw, "stem", ()):
            return node
        return dataclasses.replace(node, raw=dataclasses.replace(raw, stem=change(raw.stem)))

    return nodes(changed)


def _ungrouped(stem: ir.Path) -> ir.Path:
    """Convolutions of one group."""
    return tuple(
        dataclasses.replace(one, groups=1) if isinstance(one, ir.ConvolutionStep) else one
        for one in stem
    )


def _unnormed(stem: ir.Path) -> ir.Path:
    """Without batch norms."""
    return tuple(one for one in stem if not isinstance(one, ir.BatchNormStep))


FAULTS: tuple[Fault, ...] = (
    Fault(
        "step-left-out",
        "a path goes on without one of its steps",
        STEMMED,
        ("P59", "R1"),
        source((r"x = F\.relu\(x\)\n", "x = x.clone()\n")),
    ),
    Fault(
        "convolution-shifted",
        "squares begin where the grid does, and all that is added stands behind it",
        STEMMED,
        ("P59",),
        source(
            (r"x = self\.convolution\(x\)", "x = self.convolution(F.pad(x, (0, 2, 0, 2)))"),
            (r"stride=2, padding=1", "stride=2, padding=0"),
        ),
    ),
    Fault(
        "convolution-edge-repeated",
        "what is added beyond an edge is the edge again and not 0",
        STEMMED,
        ("P59",),
        source((r"stride=2, padding=1", 'stride=2, padding=1, padding_mode="replicate"')),
    ),
    Fault(
        "convolution-not-dilated",
        "squares of a dilated convolution have their rows side by side",
        STEMMED,
        ("P59",),
        source((r"padding=2, dilation=2", "padding=1")),
    ),
    Fault(
        "mean-of-squares-shifted",
        "the mean of a square is that of the next one",
        STEMMED,
        ("P1", "P59"),
        source((r"F\.avg_pool2d\(x, 2, 2\)", "F.avg_pool2d(x.roll(-2, -1), 2, 2)")),
    ),
    Fault(
        "stem-seen-by-others",
        "a stem reads all of a picture",
        STEMMED,
        ("P1",),
        source((r"x = F\.gelu\(x\)", "x = F.gelu(x) + x.mean((2, 3), keepdim=True)")),
    ),
    Fault(
        "stem-norm-over-the-grid",
        "the norm of a stem is of all tokens of a feature, not of the features of a token",
        STEMMED,
        ("P59", "R1"),
        source((r"x = self\.norm\(x\)\n", "x = self.norm(x) - x.mean((1, 2), keepdim=True)\n")),
    ),
    Fault(
        "max-of-rows-alone",
        "the largest is sought in a row of the square",
        STEMMED,
        ("P59",),
        source((r"F\.max_pool2d\(x, 3, 1, padding=1\)", "F.max_pool2d(x, (1, 3), 1, (0, 1))")),
    ),
    Fault(
        "glu-of-the-other-half",
        "the gates of `glu` are its first half",
        TIMED,
        ("P59", "R1"),
        source((r"F\.glu\(x\)", "F.glu(x.roll(6, -1))")),
    ),
    Fault(
        "stem-past-the-end",
        "a stem over time reads what its steps made of frames past the length",
        TIMED,
        ("P13", "P59"),
        source((r"past_bf = ~real_bf\[:, ::2\]", "past_bf = ~real_bf[:, ::2] & False")),
    ),
    Fault(
        "stem-hides-too-much",
        "a stem over time hides the last frame of a sample",
        TIMED,
        ("P59",),
        source((r"past_bf = ~real_bf\n", "past_bf = ~real_bf.roll(-1, 1)\n")),
    ),
    Fault(
        "convolution-over-time-reversed",
        "a convolution over time reads later frames for earlier ones",
        TIMED,
        ("P59", "R1"),
        source((r"x = self\.convolution\(x\)", "x = self.convolution(x.flip(2)).flip(2)")),
    ),
    Fault(
        "stem-seen-by-later-frames",
        "a stem over time reads all of a sound",
        TIMED,
        ("P1",),
        source((r"x = F\.gelu\(x\)", "x = F.gelu(x) + x.mean(2, keepdim=True)")),
    ),
    Fault(
        "tokens-of-a-stem-column-major",
        "tokens of a stem stand column by column",
        STEMMED,
        ("P59",),
        source((r"x_btd\.flatten\(1, 2\)", "x_btd.transpose(1, 2).flatten(1, 2)")),
    ),
    Fault(
        "batch-norm-of-the-absent",
        "samples without a picture count in a batch norm",
        STEMMED,
        ("P49",),
        source((r"return length_b\.nonzero\(\)\[:, 0\]", "return torch.arange(len(length_b))")),
    ),
    Fault(
        "batch-norm-of-the-batch-in-evaluation",
        "evaluation goes by the batch too, and not by what training kept",
        STEMMED,
        ("P14", "P59"),
        source((r"self\.training and x_bdhw", "x_bdhw"), (r"not self\.training", "True")),
    ),
    Fault(
        "batch-norm-keeps-nothing",
        "training leaves what evaluation goes by as it was",
        STEMMED,
        ("P49",),
        source(
            (r"self\.running_mean\.lerp_\(.*\)", "pass"), (r"by_batch, [\w.]+, ", "by_batch, 0.0, ")
        ),
    ),
    Fault(
        "batch-norm-statistics-not-saved",
        "what training keeps is no part of a checkpoint",
        STEMMED,
        ("P53",),
        source((r'("running_mean", .*\))\)\n', r"\1, persistent=False)\n")),
    ),
    Fault(
        "batch-norm-not-counted",
        "costs know no weights of a batch norm",
        STEMMED,
        ("P54",),
        reckoned(_stems(_unnormed)),
    ),
    Fault(
        "groups-not-counted",
        "costs take the groups of a convolution for one",
        STEMMED,
        ("P54",),
        reckoned(_stems(_ungrouped)),
    ),
)
