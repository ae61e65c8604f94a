"""OPT: positions from 2 on, a feed-forward with relu."""

from __future__ import annotations

from typing import Final

from mmspec.families.family import Family, Inside, joined, within
from mmspec.families.llama import BLOCK

_LAYER: Final[Inside] = {
    "attention_norm": "self_attn_layer_norm",
    "attention.qkv": joined("self_attn.{}_proj"),
    "attention.output": "self_attn.out_proj",
    "feed_forward_norm": "final_layer_norm",
    "feed_forward.up": "fc1",
    "feed_forward.down": "fc2",
}

FAMILIES: Final = (
    Family(
        "opt",
        {
            "text_embedding.table": ("model.decoder.embed_tokens",),
            "text_embedding.position": ("model.decoder.embed_positions.weight",),
            "text_stream.norm": ("model.decoder.final_layer_norm",),
            "next_head.output": ("lm_head",),
            **within(BLOCK, _LAYER, "model.decoder.layers.#"),
        },
        base="model",
    ),
)
