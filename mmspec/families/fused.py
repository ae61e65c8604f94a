"""Decoders whose layers hold one map to queries, keys and values: GPT-NeoX, Falcon, BLOOM, MPT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mmspec.families.family import Family, Layout, Names, within
from mmspec.families.llama import BLOCK, NORMS

_FALCON: Final = {
    "attention.qkv": "self_attention.query_key_value",
    "attention.output": "self_attention.dense",
    "feed_forward.up": "mlp.dense_h_to_4h",
    "feed_forward.down": "mlp.dense_4h_to_h",
}
_NEOX: Final = {
    **_FALCON,
    "attention.qkv": "attention.query_key_value",
    "attention.output": "attention.dense",
}
_MPT: Final = {
    "attention_norm": "norm_1",
    "attention.qkv": "attn.Wqkv",
    "attention.output": "attn.out_proj",
    "feed_forward_norm": "norm_2",
    "feed_forward.up": "ffn.up_proj",
    "feed_forward.down": "ffn.down_proj",
}
_ENDS: Final[Names] = {
    "text_embedding.table": ("transformer.word_embeddings",),
    "text_embedding.norm": ("transformer.word_embeddings_layernorm",),
    "text_stream.norm": ("transformer.ln_f",),
    "next_head.output": ("lm_head",),
}
_BY_HEAD: Final[Mapping[str, Layout]] = {f"{BLOCK}.attention.qkv": "by-head"}


def _layers(inside: Mapping[str, str], there: str) -> Names:
    return within(BLOCK, inside, there)


FAMILIES: Final = (
    Family(
        "gpt_neox",
        {
            "text_embedding.table": ("gpt_neox.embed_in",),
            "text_stream.norm": ("gpt_neox.final_layer_norm",),
            "next_head.output": ("embed_out",),
            **_layers({**_NEOX, **NORMS}, "gpt_neox.layers.#"),
        },
        base="gpt_neox",
        layouts=_BY_HEAD,
    ),
    Family(
        "falcon",
        {**_ENDS, **_layers({**_FALCON, "parallel_norm": "input_layernorm"}, "transformer.h.#")},
        base="transformer",
    ),
    Family(
        "bloom",
        {**_ENDS, **_layers({**_FALCON, **NORMS}, "transformer.h.#")},
        base="transformer",
        layouts=_BY_HEAD,
    ),
    Family(
        "mpt",
        {
            "text_embedding.table": ("transformer.wte",),
            "text_stream.norm": ("transformer.norm_f",),
            "next_head.output": ("lm_head",),
            **_layers(_MPT, "transformer.blocks.#"),
        },
        base="transformer",
    ),
)
