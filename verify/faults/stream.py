"""Faults of blocks and stacks: residuals, norms, dropout, projections."""

from __future__ import annotations

from dataclasses import replace

from mmspec.compiler import ir
from mmspec.verify.faults.fault import Fault, nodes, plan, reckoned, source, stacks, sublayers
from mmspec.verify.faults.specs import BRIDGED, CAPTION, CROSSED, DROPPED, JOINED, PONDERED, ROUTED


def _post(one: ir.Sublayer) -> ir.Sublayer:
    """Norms after, not before, in blocks of layer norms."""
    return replace(one, before=None, post=one.before)


def _exchanged(node: ir.Node) -> ir.Node:
    """The first two sources of a fusion with blocks of its own change places."""
    if isinstance(node, ir.Fuse) and node.fusion.layers:
        return replace(node, sources=(node.sources[1], node.sources[0], *node.sources[2:]))
    return node


def _one_step(node: ir.Node) -> ir.Node:
    """Of a source that goes through several, the first alone."""
    return replace(node, through=node.through[:1]) if isinstance(node, ir.Project) else node


FAULTS: tuple[Fault, ...] = (
    Fault(
        "source-step-left-out",
        "a source goes through one step less",
        BRIDGED,
        ("P59", "R1"),
        source((r"x = F\.gelu\(x\)", "x = x.clone()")),
    ),
    Fault(
        "source-mixed-on-its-way",
        "a source is less the mean of its tokens",
        BRIDGED,
        ("P1", "P59"),
        source((r"x = F\.gelu\(x\)", "x = F.gelu(x - x.mean(1, keepdim=True))")),
    ),
    Fault(
        "source-steps-not-counted",
        "costs know the first step of a source alone",
        BRIDGED,
        ("P54",),
        reckoned(nodes(_one_step)),
    ),
    Fault(
        "residual-lost",
        "the feed-forward replaces its input and is not added to it",
        CAPTION,
        ("P59", "R1"),
        source((r"return x_btd \+ self\.feed_forward\(", "return self.feed_forward(")),
    ),
    Fault(
        "norm-after",
        "norms stand after the block and not before it",
        CAPTION,
        ("P59",),
        plan(sublayers(_post)),
    ),
    Fault(
        "final-norm-lost",
        "the norm after the last block is left out",
        ROUTED,
        ("P59", "R1"),
        source((r"return self\.norm\(x_btd\)", "return x_btd")),
    ),
    Fault(
        "one-block-fewer",
        "the last block of a stack is not run",
        JOINED,
        ("P59",),
        source((r"for block in self\.blocks:", "for block in self.blocks[:1]:")),
    ),
    Fault(
        "blocks-shared",
        "every block of a stack is the first",
        DROPPED,
        ("P59",),
        source(
            (r"for block in self\.blocks:", "for block in [self.blocks[0]] * len(self.blocks):")
        ),
    ),
    Fault(
        "dropout-in-evaluation",
        "dropout is active in evaluation",
        DROPPED,
        ("P49", "P59"),
        source((r"self\.dropout\(", "nn.Dropout(0.25)(")),
    ),
    Fault(
        "dropout-not-rescaled",
        "what dropout leaves is not made larger",
        DROPPED,
        ("P49",),
        source(
            (r"nn\.Dropout\(0\.25\)", "Drop(0.25)"),
            (
                r"\nclass Block\(",
                "\nclass Drop(nn.Dropout):\n"
                "    def forward(self, x_btd: Tensor) -> Tensor:\n"
                "        y_btd: Tensor = super().forward(x_btd)\n"
                "        return y_btd * (1 - self.p) if self.training else x_btd\n\n\nclass Block(",
            ),
        ),
    ),
    Fault(
        "dropout-after-attention-only",
        "the feed-forward is not dropped from",
        DROPPED,
        ("P49",),
        source((r"self\.dropout\((self\.feed_forward\()", r"(\1")),
    ),
    Fault(
        "dropout-rate",
        "dropout keeps what it should drop",
        DROPPED,
        ("P49",),
        source((r"nn\.Dropout\(0\.25\)", "nn.Dropout(0.75)")),
    ),
    Fault(
        "gelu-approximated",
        "the exact gelu is replaced by its tanh approximation",
        PONDERED,
        ("P59", "R1"),
        source((r"F\.gelu\(([^\n]*)\)\n", r'F.gelu(\1, approximate="tanh")' + "\n")),
    ),
    Fault(
        "gate-and-up-swapped",
        "a gated linear unit activates the wrong half",
        CAPTION,
        ("P59",),
        source(
            (
                r"F\.silu\(self\.gate\(x_btd\)\) \* self\.up\(x_btd\)",
                "F.silu(self.up(x_btd)) * self.gate(x_btd)",
            )
        ),
    ),
    Fault(
        "depth-as-given-by-another",
        "a stack has a block more than its depth",
        ROUTED,
        ("P59", "P54"),
        plan(stacks(lambda stack: replace(stack, depth=stack.depth + 1))),
    ),
    Fault(
        "sources-exchanged",
        "the sources of a fusion change places",
        CROSSED,
        ("P59",),
        plan(nodes(_exchanged)),
    ),
    Fault(
        "buffer-not-kept",
        "a table that is no part of the state is left empty when a model is loaded",
        PONDERED,
        ("P53",),
        source(
            (
                r"(self\.position = nn\.Parameter\(torch\.empty\(\w+, \w+\)\)\n)",
                r"\1        self.register_buffer('one', torch.ones(()), persistent=False)" + "\n",
            ),
            (r"x_btd \+ self\.position\[", "self.one * x_btd + self.position["),
        ),
    ),
)
