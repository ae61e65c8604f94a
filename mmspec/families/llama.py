"""Llama, and those that name their weights like it: Mistral, Qwen2, Qwen3, SmolLM3."""

from __future__ import annotations

from typing import Final

from mmspec.families.family import Family, Inside, Names, joined, within

LAYER: Final = "model.layers.#"
BLOCK: Final = "text_stream.blocks.#"
ATTENTION: Final[Inside] = {
    "attention.qkv": joined("self_attn.{}_proj"),
    "attention.output": "self_attn.o_proj",
}
GATED: Final = {f"feed_forward.{name}": f"mlp.{name}_proj" for name in ("gate", "up", "down")}
NORMS: Final = {
    "attention_norm": "input_layernorm",
    "feed_forward_norm": "post_attention_layernorm",
}
QK_NORMS: Final = {
    "attention.query_norm": "self_attn.q_norm",
    "attention.key_norm": "self_attn.k_norm",
}
ENDS: Final[Names] = {
    "text_embedding.table": ("model.embed_tokens",),
    "text_stream.norm": ("model.norm",),
    "next_head.output": ("lm_head",),
}


def decoder(kind: str, *inside: Inside) -> Family:
    """A family with Llama's ends, and these names inside a layer."""
    layers = {name: there for each in inside for name, there in each.items()}
    return Family(kind, {**ENDS, **within(BLOCK, layers, LAYER)}, base="model")


FAMILIES: Final = (
    *(decoder(kind, ATTENTION, NORMS, GATED) for kind in ("llama", "mistral", "qwen2", "smollm3")),
    decoder("qwen3", ATTENTION, NORMS, GATED, QK_NORMS),
)
