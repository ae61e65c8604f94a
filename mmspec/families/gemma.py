"""Gemma, and Gemma 3 with norms before and after each sub-layer."""

from __future__ import annotations

from typing import Final

from mmspec.families.llama import ATTENTION, GATED, NORMS, QK_NORMS, decoder

_SANDWICH: Final = {
    "attention_norm": "input_layernorm",
    "attention_norm_after": "post_attention_layernorm",
    "feed_forward_norm": "pre_feedforward_layernorm",
    "feed_forward_norm_after": "post_feedforward_layernorm",
}

FAMILIES: Final = (
    decoder("gemma", ATTENTION, NORMS, GATED),
    decoder("gemma3_text", ATTENTION, QK_NORMS, GATED, _SANDWICH),
)
