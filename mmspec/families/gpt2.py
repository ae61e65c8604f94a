"""GPT-2, which stores its linear maps transposed."""

from __future__ import annotations

from typing import Final

from mmspec.families.family import Family, within
from mmspec.families.llama import BLOCK

_LAYER: Final = {
    "attention_norm": "ln_1",
    "attention.qkv": "attn.c_attn",
    "attention.output": "attn.c_proj",
    "feed_forward_norm": "ln_2",
    "feed_forward.up": "mlp.c_fc",
    "feed_forward.down": "mlp.c_proj",
}
FAMILIES: Final = (
    Family(
        "gpt2",
        {
            "text_embedding.table": ("transformer.wte",),
            "text_embedding.position": ("transformer.wpe.weight",),
            "text_stream.norm": ("transformer.ln_f",),
            "next_head.output": ("lm_head",),
            **within(BLOCK, _LAYER, "transformer.h.#"),
        },
        base="transformer",
        layouts={f"{BLOCK}.{name}": "transposed" for name in _LAYER if not name.endswith("norm")},
    ),
)
