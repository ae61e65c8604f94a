"""Faults of attention: masks, heads, scale, rotation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mmspec.compiler import ir
from mmspec.expressions import mask as masks
from mmspec.verify.faults.fault import Fault, blocks, plan, source
from mmspec.verify.faults.specs import CAPTION, CROSSED, DROPPED, JOINED, PONDERED, ROUTED, TOWERS

Change = Callable[[masks.Mask], masks.Mask]


def _sized(name: str, argument: str, by: int) -> Change:
    """Change a number of every pattern of that name."""

    def change(mask: masks.Mask) -> masks.Mask:
        if isinstance(mask, masks.Pattern):
            if mask.name != name:
                return mask
            given = dict(mask.arguments)
            size = given[argument]
            assert isinstance(size, int)
            return masks.Pattern(name, tuple((given | {argument: size + by}).items()))
        if isinstance(mask, masks.Not):
            return masks.Not(change(mask.operand))
        return type(mask)(change(mask.left), change(mask.right))

    return change


def _united(mask: masks.Mask) -> masks.Mask:
    """Intersections become unions."""
    if isinstance(mask, masks.And | masks.Or):
        return masks.Or(_united(mask.left), _united(mask.right))
    return mask


def _masks(change: Change) -> Callable[[ir.Plan], ir.Plan]:
    """Change every mask of every stack."""

    def changed(block: ir.Block) -> ir.Block:
        groups = tuple(
            replace(group, masks=tuple((q, k, change(mask)) for q, k, mask in group.masks))
            for group in block.attention.groups
        )
        return replace(block, attention=replace(block.attention, groups=groups))

    return blocks(changed)


def _paired(query: str, key: str, mask: str) -> Callable[[ir.Plan], ir.Plan]:
    """Give one ordered pair of segments another mask."""

    def changed(block: ir.Block) -> ir.Block:
        groups = []
        for group in block.attention.groups:
            others = [pair for pair in group.masks if pair[:2] != (query, key)]
            groups.append(replace(group, masks=(*others, (query, key, masks.parse(mask)))))
        return replace(block, attention=replace(block.attention, groups=tuple(groups)))

    return blocks(changed)


def widened() -> Callable[[ir.Plan], ir.Plan]:
    """Every window one key wider."""
    return _masks(_sized("window", "before", 1))


_KEYS = r"valid_bk\[:, None, None, :\]"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "window-keeps-one-more",
        "a window shows one key more than it says",
        JOINED,
        ("P3", "P59"),
        plan(widened()),
    ),
    Fault(
        "window-keeps-one-less",
        "a window hides its farthest key",
        JOINED,
        ("P3",),
        plan(_masks(_sized("window", "after", -1))),
    ),
    Fault(
        "block-size",
        "blocks are one token larger",
        TOWERS,
        ("P3",),
        plan(_masks(_sized("block", "size", 1))),
    ),
    Fault(
        "dilated-step",
        "a dilated mask shows every key within its reach",
        ROUTED,
        ("P3", "P59"),
        plan(_masks(_sized("dilated", "step", -1))),
    ),
    Fault(
        "masks-united",
        "`causal & dilated` shows what either of them shows",
        ROUTED,
        ("P3", "P6", "P1"),
        plan(_masks(_united)),
    ),
    Fault(
        "causal-looks-ahead",
        "a causal mask also shows the next token",
        ROUTED,
        ("P6", "P1", "P3"),
        plan(_masks(lambda _: masks.parse("window(before=100, after=1)"))),
    ),
    Fault(
        "causal-flag-lost",
        "the causal flag of the attention kernel is not set",
        DROPPED,
        ("P6", "P1"),
        source((r"is_causal=True", "is_causal=False"), file="attention.py"),
    ),
    Fault(
        "image-sees-text",
        "a pair of modalities that is not named is full",
        CAPTION,
        ("P1", "P3", "P6"),
        plan(_paired("image", "text", "full")),
    ),
    Fault(
        "pair-forgotten",
        "a pair of modalities that is named sees nothing",
        CAPTION,
        ("P2", "P3"),
        plan(_paired("text", "image", "none")),
    ),
    Fault(
        "mask-transposed",
        "keys see queries",
        CAPTION,
        ("P3", "P1", "P59"),
        source(
            (
                r"return mask_qk\[None, None\] if",
                "mask_qk = mask_qk.mT\n    return mask_qk[None, None] if",
            ),
            file="attention.py",
        ),
    ),
    Fault(
        "padding-seen",
        "keys past a sample's length are seen",
        JOINED,
        ("P13", "P1", "P59"),
        source((_KEYS, "torch.ones_like(valid_bk)[:, None, None, :]"), file="attention.py"),
    ),
    Fault(
        "padding-on-queries",
        "the padding mask is put on the axis of the queries",
        JOINED,
        ("P13", "P59"),
        source(
            (rf"mask_qk & {_KEYS}", "mask_qk & valid_bk[:, None, :, None]"), file="attention.py"
        ),
    ),
    Fault(
        "scale-missing",
        "scores are not divided by the root of the head width",
        PONDERED,
        ("P59", "R1"),
        source((r"attn_mask=mask", "attn_mask=mask, scale=1.0"), file="attention.py"),
    ),
    Fault(
        "scale-by-width",
        "scores are divided by the root of the model's width",
        CAPTION,
        ("P59",),
        source((r"attn_mask=mask", "attn_mask=mask, scale=0.25"), file="attention.py"),
    ),
    Fault(
        "query-value-key",
        "the fused projection is split as q, v, k",
        PONDERED,
        ("P59", "P10"),
        source(
            (r"q_bhtw, k_bhtw, v_bhtw = qkv", "q_bhtw, v_bhtw, k_bhtw = qkv"), file="attention.py"
        ),
    ),
    Fault(
        "key-heads-interleaved",
        "query head h reads key head h mod kv_heads",
        CAPTION,
        ("P10", "P59"),
        source(
            (
                r"(q_bhtw, k_bhtw = rotate[^\n]*\n)",
                r"\1        k_bhtw, v_bhtw = k_bhtw.repeat(1, 2, 1, 1), v_bhtw.repeat(1, 2, 1, 1)"
                + "\n",
            ),
            (r", enable_gqa=True", ""),
            file="attention.py",
        ),
    ),
    Fault(
        "heads-last",
        "rows of the fused projection are read width-major",
        PONDERED,
        ("P59",),
        source(
            (r"\.unflatten\(-1, \(-1, 4\)\)", ".unflatten(-1, (4, -1)).mT"), file="attention.py"
        ),
    ),
    Fault(
        "sums-over-queries",
        "attention weights sum to 1 over the queries",
        PONDERED,
        ("P10", "P59"),
        source(
            (
                r"y_bhtw = F\.scaled_dot_product_attention\([^()]*attn_mask=mask\)",
                "score = q_bhtw @ k_bhtw.mT / 2\n"
                "        if mask is not None:\n"
                "            score = score.masked_fill(~mask, -1e9)\n"
                "        y_bhtw = score.softmax(dim=-2) @ v_bhtw",
            ),
            file="attention.py",
        ),
    ),
    Fault(
        "rotation-interleaved",
        "rotary angles turn neighbours and not halves",
        DROPPED,
        ("P59", "R1"),
        source(
            (
                r"first, second = x_bhtw\.chunk\(2, dim=-1\)",
                "first, second = x_bhtw[..., ::2], x_bhtw[..., 1::2]",
            ),
            file="attention.py",
        ),
    ),
    Fault(
        "rotation-of-values-too",
        "keys are not rotated",
        CAPTION,
        ("P59",),
        source(
            (r"rotate\(q_bhtw, turn\), rotate\(k_bhtw, turn\)", "rotate(q_bhtw, turn), k_bhtw"),
            file="attention.py",
        ),
    ),
    Fault(
        "rotation-sign",
        "the second half is turned the wrong way",
        DROPPED,
        ("P59",),
        source(
            (r"second \* cos_ti \+ first \* sin_ti", "second * cos_ti - first * sin_ti"),
            file="attention.py",
        ),
    ),
    Fault(
        "rotation-in-storage-dtype",
        "rotary angles are computed in the dtype of the queries",
        DROPPED,
        ("P28",),
        source(
            (r"dtype=torch\.float64\)\n", "dtype=STORED[0])\n"),
            (r"positions_t\[:, None\]", "positions_t[:, None].to(STORED[0])"),
            (r"\ndef rotation", "\nSTORED = [torch.float64]\n\n\ndef rotation"),
            (r"(\n +)(qkv_bthw = self\.qkv)", r"\1STORED[0] = x_btd.dtype\1\2"),
            file="attention.py",
        ),
    ),
    Fault(
        "blind-row-reads-the-mean",
        "a query that sees no key reads the mean of all values",
        CROSSED,
        ("P10", "P59"),
        source(
            (
                r"(\n +)(y_bhqw = F\.scaled)",
                r"\1if mask is not None:\1    mask = mask | ~mask.any(dim=-1, keepdim=True)\1\2",
            ),
            file="attention.py",
        ),
    ),
)
