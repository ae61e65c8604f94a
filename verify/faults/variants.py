"""Faults of layers of several kinds: their order, what each has for itself, how often they run."""

from __future__ import annotations

from dataclasses import replace

from mmspec.compiler import ir
from mmspec.verify.faults.fault import Fault, plan, read_as, reckoned, source, stacks
from mmspec.verify.faults.specs import VARIED


def _reversed(stack: ir.Stack) -> ir.Stack:
    return replace(stack, order=stack.order[::-1])


def _of_one_mask(stack: ir.Stack) -> ir.Stack:
    """Every kind of layers sees what the first does."""
    seen = stack.attentions[0].groups[0].masks

    def changed(one: ir.Sublayer) -> ir.Sublayer:
        site = one.mixer
        if not isinstance(site, ir.Attention):
            return one
        return replace(one, mixer=replace(site, groups=(ir.Group(site.heads, seen),)))

    variants = (
        replace(block, sublayers=tuple(map(changed, block.sublayers))) for block in stack.variants
    )
    return replace(stack, variants=tuple(variants))


def _unshared(stack: ir.Stack) -> ir.Stack:
    """Each pass over the layers has weights of its own."""
    order = stack.order * stack.repeat if stack.repeat > 1 else stack.order
    return replace(stack, order=order, depth=stack.depth * stack.repeat, repeat=1)


FAULTS: tuple[Fault, ...] = (
    Fault(
        "layers-in-another-order",
        "kinds of layers follow one another from the last to the first",
        VARIED,
        ("P59", "R1"),
        plan(stacks(_reversed)),
    ),
    Fault(
        "one-mask-for-all-layers",
        "all kinds of layers see what the first does",
        VARIED,
        ("P3", "P59"),
        plan(stacks(_of_one_mask)),
    ),
    Fault(
        "repeated-with-other-weights",
        "layers that are applied again have weights of their own",
        VARIED,
        ("P59",),
        plan(stacks(_unshared)),
    ),
    Fault(
        "applied-once",
        "layers that are to be applied twice are applied once",
        VARIED,
        ("P59", "R1"),
        plan(stacks(lambda stack: replace(stack, repeat=1))),
    ),
    Fault(
        "layers-counted-alike",
        "costs take all layers for the first kind",
        VARIED,
        ("P54",),
        reckoned(stacks(lambda stack: replace(stack, order=(0,) * len(stack.order)))),
    ),
    Fault(
        "passes-not-counted",
        "costs take layers that are applied twice for applied once",
        VARIED,
        ("P54",),
        reckoned(stacks(lambda stack: replace(stack, repeat=1))),
    ),
    Fault(
        "variant-not-read",
        "what a variant changes is the stream's all the same",
        VARIED,
        ("P57",),
        read_as("far: {heads: 3, ", "far: {"),
    ),
    Fault(
        "variant-sees-further",
        "a variant sees a token more than is written",
        VARIED,
        ("P3",),
        read_as("window(before=2)", "window(before=3)"),
    ),
    Fault(
        "like-over-own",
        "a stream that is like another has that one's setting in place of its own",
        VARIED,
        ("P57",),
        read_as("bias: false", "bias: true"),
    ),
    Fault(
        "one-rotation-for-all-layers",
        "all kinds of layers turn by the angles of the first",
        VARIED,
        ("P59", "R1"),
        source((r"turns\[1\]", "(turns[0][0][..., :2], turns[0][1][..., :2])")),
    ),
    Fault(
        "decoding-turns-otherwise",
        "in decoding, far layers turn by the usual base",
        VARIED,
        ("P17",),
        source((r"rotary_rates\((\w+), 100\.0", r"rotary_rates(\1, 10000.0"), file="decoding.py"),
    ),
    Fault(
        "decoding-reads-the-first-pass",
        "in decoding, layers that are applied again read the keys of the first time",
        VARIED,
        ("P17",),
        source(
            (r"kept\.layers\[len\(self\.layers\)\]", "kept.layers[len(self.layers) % 2]"),
            file="decoding.py",
        ),
    ),
    Fault(
        "decoding-mixes-kinds",
        "in decoding, all kinds of layers see what the near ones do",
        VARIED,
        ("P17",),
        source((r"at_bc, text_far_sees", "at_bc, text_near_sees"), file="decoding.py"),
    ),
    Fault(
        "decoding-forgets-for-all",
        "all kinds of layers keep what the near ones do",
        VARIED,
        ("P17",),
        source(
            (
                r'\["text_far\.text"\] = text_far\.cached\(\)',
                '["text_far.text"] = forget(text_far.cached(), '
                "text_near_keeps(text_far.place_bs, at_bc[:, -1:] + 1), 2)",
            ),
            file="decoding.py",
        ),
    ),
)
