"""Faults of what a layer does: the order of its sub-layers, their scales, what is beside."""

from __future__ import annotations

from dataclasses import replace

from mmspec.compiler import ir
from mmspec.verify.faults.fault import Fault, plan, read_as, reckoned, source, stacks, sublayers
from mmspec.verify.faults.specs import HALVED, LAYERED, READER


def _unscaled(one: ir.Sublayer) -> ir.Sublayer:
    return replace(one, scale=1.0)


def _unweighed(one: ir.Sublayer) -> ir.Sublayer:
    return replace(one, weighed=None)


def _in_turn(one: ir.Sublayer) -> ir.Sublayer:
    """Each reads what those before it gave."""
    return replace(one, joins=False, awaits=False)


def _turned(stack: ir.Stack) -> ir.Stack:
    """The last sub-layer that stands alone comes first."""
    blocks = (
        replace(block, sublayers=block.sublayers[1:] + block.sublayers[:1])
        for block in stack.variants
    )
    return replace(stack, variants=tuple(blocks))


def _first_only(stack: ir.Stack) -> ir.Stack:
    """Of a layer the first attention is counted, and no other."""

    def changed(block: ir.Block) -> ir.Block:
        others = block.attentions[1:]
        kept = (one for one in block.sublayers if not any(one.mixer is each for each in others))
        return replace(block, sublayers=tuple(kept))

    return replace(stack, variants=tuple(map(changed, stack.variants)))


FAULTS: tuple[Fault, ...] = (
    Fault(
        "scale-left-out",
        "what a sub-layer gives is added as it is",
        HALVED,
        ("P59", "R1"),
        plan(sublayers(_unscaled)),
    ),
    Fault(
        "gate-not-by-its-tanh",
        "a gate multiplies by its number, and not by the tanh of it",
        READER,
        ("P59", "R1"),
        source((r"self\.weight\.tanh\(\)", "self.weight")),
    ),
    Fault(
        "gate-open-at-first",
        "a gate starts at 1",
        READER,
        ("P55",),
        source(
            (r"torch\.zeros\(1\)", "torch.ones(1)"),
            (r"zeros_\(self\.weight\)", "ones_(self.weight)"),
        ),
    ),
    Fault(
        "layer-scale-of-all-features",
        "a learned scale is one number for all features",
        READER,
        ("P59", "R1"),
        source((r"x_btd \* self\.weight\n", "x_btd * self.weight.mean()\n")),
    ),
    Fault(
        "layer-scale-not-counted",
        "costs leave out what scales learn",
        READER,
        ("P54",),
        reckoned(sublayers(_unweighed)),
    ),
    Fault(
        "parallel-in-turn",
        "sub-layers in parallel read what those before them gave",
        LAYERED,
        ("P59", "R1"),
        plan(sublayers(_in_turn)),
    ),
    Fault(
        "sub-layers-in-another-order",
        "the first sub-layer of a layer is its last",
        HALVED,
        ("P59", "R1"),
        plan(stacks(_turned)),
    ),
    Fault(
        "entry-not-read",
        "what an entry changes is the stream's all the same",
        LAYERED,
        ("P57",),
        read_as("heads: 3}", "heads: 2}"),
    ),
    Fault(
        "entry-sees-further",
        "the attention of an entry sees a token more than is written",
        LAYERED,
        ("P3",),
        read_as("window(before=2)", "window(before=3)"),
    ),
    Fault(
        "one-attention-counted",
        "costs take the first attention of a layer for all",
        LAYERED,
        ("P54",),
        reckoned(stacks(_first_only)),
    ),
    Fault(
        "decoding-sub-layer-unscaled",
        "in decoding a sub-layer's scale is left out",
        HALVED,
        ("P17",),
        source((r"0\.5 \* ", ""), file="decoding.py"),
    ),
    Fault(
        "decoding-in-turn",
        "in decoding the second of two in parallel reads no norm",
        HALVED,
        ("P17",),
        source(
            (r"block\.feed_forward_2\(h_bcd\)", "block.feed_forward_2(x_bcd)"), file="decoding.py"
        ),
    ),
)
