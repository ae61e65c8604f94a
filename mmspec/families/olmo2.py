"""OLMo 2: norms stand behind each sub-layer, and over all heads of queries and keys."""

from __future__ import annotations

from typing import Final

from mmspec.families.llama import ATTENTION, GATED, QK_NORMS, decoder

_AFTER: Final = {
    "attention_norm_after": "post_attention_layernorm",
    "feed_forward_norm_after": "post_feedforward_layernorm",
}

FAMILIES: Final = (decoder("olmo2", ATTENTION, QK_NORMS, GATED, _AFTER),)
