"""Faults of attention: validity, heads, scale, rotation."""

from __future__ import annotations

from mmspec.verify.faults.fault import Fault, source
from mmspec.verify.faults.specs import CAPTION, CROSSED, DROPPED, JOINED, PONDERED, ROLES, TURNED

_KEYS = r"valid_bk\[:, None, None, :\]"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "causal-flag-lost",
        "the causal flag of the attention kernel is not set",
        DROPPED,
        ("P6", "P1"),
        source((r"is_causal=True", "is_causal=False")),
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
            )
        ),
    ),
    Fault(
        "padding-seen",
        "keys past a sample's length are seen",
        JOINED,
        ("P13", "P1", "P59"),
        source((_KEYS, "torch.ones_like(valid_bk)[:, None, None, :]")),
    ),
    Fault(
        "padding-on-queries",
        "the padding mask is put on the axis of the queries",
        JOINED,
        ("P13", "P59"),
        source((rf"mask_qk & {_KEYS}", "mask_qk & valid_bk[:, None, :, None]")),
    ),
    Fault(
        "scale-missing",
        "scores are not divided by the root of the head width",
        PONDERED,
        ("P59", "R1"),
        source((r"attn_mask=mask", "attn_mask=mask, scale=1.0")),
    ),
    Fault(
        "scale-by-width",
        "scores are divided by the root of the model's width",
        CAPTION,
        ("P59",),
        source((r"attn_mask=mask", "attn_mask=mask, scale=0.25")),
    ),
    Fault(
        "query-value-key",
        "the fused projection is split as q, v, k",
        PONDERED,
        ("P59", "P10"),
        source((r"q_bhtw, k_bhtw, v_bhtw = qkv", "q_bhtw, v_bhtw, k_bhtw = qkv")),
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
        ),
    ),
    Fault(
        "bias-on-keys",
        "the bias of the values is added to the keys, which have none",
        ROLES,
        ("P59", "R1"),
        source(
            (r"\(F\.pad\(first_r, (\(0, \d+\))\), last_r\)", r"(first_r, F.pad(last_r, \1))"),
        ),
    ),
    Fault(
        "heads-last",
        "rows of the fused projection are read width-major",
        PONDERED,
        ("P59",),
        source((r"\.unflatten\(-1, \(-1, HEAD_WIDTH\)\)", ".unflatten(-1, (HEAD_WIDTH, -1)).mT")),
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
            )
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
            )
        ),
    ),
    Fault(
        "rotation-of-values-too",
        "keys are not rotated",
        CAPTION,
        ("P59",),
        source((r"rotate\(q_bhtw, turn\), rotate\(k_bhtw, turn\)", "rotate(q_bhtw, turn), k_bhtw")),
    ),
    Fault(
        "rotation-sign",
        "the second half is turned the wrong way",
        DROPPED,
        ("P59",),
        source((r"second \* cos_ti \+ first \* sin_ti", "second * cos_ti - first * sin_ti")),
    ),
    Fault(
        "rotation-of-all-features",
        "all features of a head are turned where some should be",
        TURNED,
        ("P59",),
        source(
            (r"width = 2 \* turn\[0\]\.shape\[-1\]", "turn = tuple(x.repeat(1, 2) for x in turn)"),
            (r"\[\.\.\., :width\]", ""),
            (r"torch\.cat\(\(first, x_bhtw\[\.\.\., width:\]\), dim=-1\)", "first"),
        ),
    ),
    Fault(
        "rotation-of-halves",
        "rotary angles turn halves and not neighbours",
        TURNED,
        ("P59", "R1"),
        source((r"unflatten\(-1, \(-1, 2\)\)\.unbind\(-1\)", "chunk(2, dim=-1)")),
    ),
    Fault(
        "rotation-base",
        "rotary angles are those of the usual base",
        TURNED,
        ("P59",),
        source((r"rotary_rates\(4, 100\.0,", "rotary_rates(4, 10000.0,")),
    ),
    Fault(
        "rotation-unscaled",
        "slow turns are not slower by the factor",
        TURNED,
        ("P59",),
        source((r"\(1 - share_i\) / factor", "(1 - share_i)")),
    ),
    Fault(
        "rotation-in-storage-dtype",
        "rotary angles are computed in the dtype of the queries",
        DROPPED,
        ("P28",),
        source(
            (r"dtype=torch\.float64\)\n", "dtype=STORED[0])\n"),
            (r"positions\[\.\.\., None\]", "positions[..., None].to(STORED[0])"),
            (r"\ndef rotation", "\nSTORED = [torch.float64]\n\n\ndef rotation"),
            (r"(\n +)(cos_ti, sin_ti = rotation)", r"\1STORED[0] = self.cos_ti.dtype\1\2"),
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
            )
        ),
    ),
)
