"""Faults of fusions: gates, pooling, order of sources, context."""

from __future__ import annotations

from dataclasses import replace

from mmspec.compiler import ir
from mmspec.verify.faults.fault import Fault, nodes, plan, source
from mmspec.verify.faults.specs import BLENDED, CROSSED, FILMED, JOINED, TOWERS


def _other_heads(node: ir.Node) -> ir.Node:
    """A fusion with the heads of its stream although it names its own."""
    if not isinstance(node, ir.Fuse) or not isinstance(node.fusion, ir.CrossAttention):
        return node
    site = node.fusion.attention
    if site.heads != 2:
        return node
    groups = tuple(replace(group, heads=2 * group.heads) for group in site.groups)
    site = replace(site, groups=groups, heads=4, kv_heads=4, head_width=site.head_width // 2)
    return replace(node, fusion=replace(node.fusion, attention=site))


FAULTS: tuple[Fault, ...] = (
    Fault(
        "gate-over-batch",
        "gates are a softmax over the batch and not over the sources",
        JOINED,
        ("P10", "P14", "P59"),
        source(
            (
                r"\.masked_fill\(absent_bn1, lowest\)\.softmax\(dim=1\)",
                ".masked_fill(absent_bn1, lowest).softmax(dim=0)",
            )
        ),
    ),
    Fault(
        "gate-over-features",
        "gates are a softmax over the features",
        JOINED,
        ("P10",),
        source(
            (
                r"\.masked_fill\(absent_bn1, lowest\)\.softmax\(dim=1\)",
                ".masked_fill(absent_bn1, lowest).softmax(dim=2)",
            )
        ),
    ),
    Fault(
        "gate-applied-twice",
        "a source is scaled twice by its gate",
        JOINED,
        ("P59", "R1"),
        source((r"\[x \* gate for", "[x * gate * gate for")),
    ),
    Fault(
        "gate-of-the-absent",
        "an absent source takes part in the softmax of the gates",
        JOINED,
        ("P10", "P59"),
        source(
            (r"\.masked_fill\(absent_bn1, lowest\)\.softmax", ".softmax"),
            (r"gate_bnd = gate_bnd\.masked_fill\(absent_bn1, 0\.0\)\n", "\n"),
        ),
    ),
    Fault(
        "gates-without-sources",
        "in a sample that has no source the gates are not 0",
        JOINED,
        ("P59",),
        source((r"gate_bnd = gate_bnd\.masked_fill\(absent_bn1, 0\.0\)\n", "\n")),
    ),
    Fault(
        "gates-crossed",
        "each source has the gate of another",
        JOINED,
        ("P59",),
        source(
            (
                r"gates = torch\.split\(gate_bnd, 1, dim=1\)",
                "gates = torch.split(gate_bnd, 1, dim=1)[::-1]",
            )
        ),
    ),
    Fault(
        "pool-counts-padding",
        "a mean over tokens also counts padding",
        JOINED,
        ("P13", "P59"),
        source(
            (
                r"x_btd\.masked_fill\(~valid_bt\[\.\.\., None\], 0\.0\)\.sum\(dim=1\)",
                "x_btd.sum(dim=1)",
            )
        ),
    ),
    Fault(
        "pool-divides-by-padded-length",
        "a mean over tokens is divided by the padded length",
        JOINED,
        ("P13",),
        source((r"\.sum\(dim=1\) / count_b1", ".sum(dim=1) / x_btd.shape[1]")),
    ),
    Fault(
        "pool-of-nothing",
        "a mean over no token is 0 / 0",
        TOWERS,
        ("P30",),
        source((r"\.sum\(dim=1, keepdim=True\)\.clamp\(min=1\)", ".sum(dim=1, keepdim=True)")),
    ),
    Fault(
        "validity-in-another-order",
        "validities are joined in another order than the tokens",
        JOINED,
        ("P13", "P59"),
        source((r"return torch\.cat\(known, dim=1\)", "return torch.cat(known[::-1], dim=1)")),
    ),
    Fault(
        "batch-and-tokens-mixed",
        "tokens of a source are dealt out over the batch token by token",
        JOINED,
        ("P14",),
        source(
            (
                r"y_btd = torch\.cat\(\[x \* gate for",
                "parts = tuple(x.transpose(0, 1).reshape(x.shape) for x in parts)\n"
                "        y_btd = torch.cat([x * gate for",
            )
        ),
    ),
    Fault(
        "query-not-kept",
        "a fusion by cross-attention gives what it read and not the sum",
        CROSSED,
        ("P59", "R1"),
        source((r"return x_btd \+ self\.attention\(", "return self.attention(")),
    ),
    Fault(
        "context-padding-seen",
        "padding of the context is read",
        CROSSED,
        ("P13", "P1"),
        source((r"valid_bk\[:, None, None, :\]", "valid_bk[:, None, None, :] | True")),
    ),
    Fault(
        "keys-and-values-swapped",
        "of a context, keys are taken for values",
        CROSSED,
        ("P59", "P10"),
        source((r"k_bkd, v_bkd = self\.key_value", "v_bkd, k_bkd = self.key_value")),
    ),
    Fault(
        "context-not-normed",
        "the context is read without its norm",
        CROSSED,
        ("P59",),
        source(
            (
                r"self\.norm_context\(context_bkd\)",
                "(context_bkd + 0 * self.norm_context(context_bkd))",
            )
        ),
    ),
    Fault(
        "fusion-heads-of-the-stream",
        "a fusion has the heads of its stream although it names its own",
        CROSSED,
        ("P59",),
        plan(nodes(_other_heads)),
    ),
    Fault(
        "film-of-the-absent",
        "where no other source is there, the bias of the modulation is still added",
        FILMED,
        ("P59", "R1", "P30"),
        source(
            (
                r"change_bd\.masked_fill\(~context_bt\.any\(.*\), 0\.0\)",
                "change_bd",
            )
        ),
    ),
    Fault(
        "film-scales-by-itself",
        "tokens are scaled by the scale and not by one more",
        FILMED,
        ("P59", "R1"),
        source((r"\* \(1 \+ scale_b1d\)", "* scale_b1d")),
    ),
    Fault(
        "film-of-the-first-source",
        "scale and shift are made from all sources, the first one's tokens among them",
        FILMED,
        ("P1", "P59"),
        source(
            (
                r"mean_pool\(context_btd, context_bt\)",
                "mean_pool(torch.cat((x_btd, context_btd), dim=1), None)",
            )
        ),
    ),
    Fault(
        "gates-without-sigmoid",
        "a source is times its gate's score and not times a sigmoid of it",
        BLENDED,
        ("P59", "R1"),
        source((r"torch\.sigmoid\(gate\(x_btd\)\)", "gate(x_btd)")),
    ),
    Fault(
        "gates-of-the-mean",
        "tokens of the first source are replaced by their mean where they stay",
        BLENDED,
        ("P59", "R1"),
        source((r"read\[0\] = parts\[0\]\n", "read[0] = read[0] + 0 * parts[0]\n")),
    ),
    Fault(
        "weights-over-batch",
        "weights of sources are a softmax over the batch",
        BLENDED,
        ("P14", "P59"),
        source(
            (r"masked_fill\(absent_b1n, lowest\)\.softmax\(dim=-1\)", "softmax(dim=0)"),
        ),
    ),
    Fault(
        "weight-of-the-absent",
        "a source without tokens has a share of the weights",
        BLENDED,
        ("P59", "R1"),
        source((r"\.masked_fill\(absent_b1n, lowest\)\.softmax", ".softmax")),
    ),
    Fault(
        "product-with-the-absent",
        "in a product a source without tokens is the bias of its factor and not 1",
        BLENDED,
        ("P59", "R1"),
        source((r"\.masked_fill\(~there_b\[:, None, None\], 1\.0\)", "")),
    ),
    Fault(
        "product-is-a-sum",
        "factors of sources are added and not multiplied",
        BLENDED,
        ("P59", "R1"),
        source((r"product_btr \* factor_btr", "product_btr + factor_btr")),
    ),
    Fault(
        "product-of-nothing",
        "in a sample without any source the product is a map of ones and not 0",
        BLENDED,
        ("P59", "R1"),
        source((r"y_btd\.masked_fill\(~present_nb\.any.*, 0\.0\)", "y_btd")),
    ),
    Fault(
        "mark-of-the-first-source",
        "every source is marked with the first mark",
        CROSSED,
        ("P59",),
        source(
            (r"marked = \[x_btd \+ mark_d for", "marked = [x_btd + self.source[0] + 0 * mark_d for")
        ),
    ),
    Fault(
        "latents-replaced",
        "latents are what was read, without the queries",
        CROSSED,
        ("P59", "R1"),
        source((r"return x_bqd \+ ", "return ")),
    ),
)
