"""Faults of how weights start: scales, distributions, what is drawn and what is not."""

from __future__ import annotations

import dataclasses

from mmspec.compiler import ir
from mmspec.verify.faults.fault import Fault, plan, source
from mmspec.verify.faults.specs import CAPTION, CUT, JOINED, STARTED

FAULTS: tuple[Fault, ...] = (
    Fault(
        "residual-scale-wrong",
        "what blocks add is scaled by the layers, not by twice as many",
        STARTED,
        ("P55",),
        source((r"math\.sqrt\(2 \* layers\)", "math.sqrt(layers)")),
    ),
    Fault(
        "residual-scale-not-of-experts",
        "the projections of experts, which are no linears, are not scaled by depth",
        STARTED,
        ("P55",),
        source(
            (
                r'removesuffix\("\.weight"\)\.endswith\(\("\.output", "\.down"\)\)',
                'endswith((".output.weight", ".down.weight"))',
            )
        ),
    ),
    Fault(
        "residual-scale-of-one-step",
        "what blocks add is scaled by the depth of one step of a ponder",
        STARTED,
        ("P55",),
        source((r"\(self\.joint_stream, 3\)", "(self.joint_stream, 1)")),
    ),
    Fault(
        "residual-scale-of-every-output",
        "the output of a fusion's attention is scaled as if it were a block's",
        STARTED,
        ("P55",),
        source(
            (r"(depths = \()", r"\1(self.asked_fusion, 2),"),
            (r"stack\.blocks\.named_parameters", "stack.named_parameters"),
        ),
    ),
    Fault(
        "tables-too-large",
        "tables of embeddings start a thousand times too large",
        JOINED,
        ("P55",),
        source((r"(self\.table\.weight, std=)0\.02", r"\g<1>20.0")),
    ),
    Fault(
        "biases-not-zero",
        "biases are left as torch makes them",
        STARTED,
        ("P55",),
        source((r'endswith\("\.bias"\)', 'endswith("row_embedding.bias")')),
    ),
    Fault(
        "norms-drawn",
        "the weights of norms are drawn like all others",
        STARTED,
        ("P55",),
        source((r"elif weight\.dim\(\) > 1:.*", "elif weight.dim() > 0:")),
    ),
    Fault(
        "tails-not-cut",
        "a truncated distribution keeps its tails",
        CUT,
        ("P55",),
        source((r"trunc_normal_\(weight, (std=[\d.]+), .*\)", r"normal_(weight, \1)")),
    ),
    Fault(
        "uniform-for-normal",
        "weights are uniform of the right deviation",
        STARTED,
        ("P55",),
        source(
            (
                r"nn\.init\.normal_\(weight, std=0\.02\)",
                "nn.init.uniform_(weight, -0.02 * 3**0.5, 0.02 * 3**0.5)",
            )
        ),
    ),
    Fault(
        "blocks-alike",
        "each weight is drawn from the same seed",
        STARTED,
        ("P55",),
        source((r"( +)(nn\.init\.normal_\(weight, std=0\.02\))", r"\1torch.manual_seed(3)\n\1\2")),
    ),
    Fault(
        "init-not-run",
        "the method that draws the weights is there, and nobody calls it",
        STARTED,
        ("P55",),
        source((r"        self\.initialise\(\)\n", "")),
    ),
    Fault(
        "init-of-another-name",
        "a spec that says nothing of it starts as one that says `init: gpt2`",
        CAPTION,
        ("P55",),
        plan(lambda old: dataclasses.replace(old, init=ir.Normal(0.02, 0, by_depth=True))),
    ),
)
