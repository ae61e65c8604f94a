"""Bark: a decoder of tokens that a codec made of sound."""

from __future__ import annotations

from typing import Final

from mmspec.families.decoder import decoder, shape
from mmspec.families.draft import Draft, tokens
from mmspec.families.family import Family, within
from mmspec.families.llama import BLOCK
from mmspec.families.settings import Key, Settings, plain

_LAYER: Final = {
    "attention_norm": "layernorm_1",
    "attention.qkv": "attn.att_proj",
    "attention.output": "attn.out_proj",
    "feed_forward_norm": "layernorm_2",
    "feed_forward.up": "mlp.in_proj",
    "feed_forward.down": "mlp.out_proj",
}


def _draft(s: Settings) -> Draft:
    vocab = s.size("input_vocab_size", 10048)
    s.only(output_vocab_size=vocab)
    words = tokens(s, "block_size", 1024, "input_vocab_size", position="learned")
    dropout = s.number("dropout", 0.0)
    stream = [
        *shape(s, "num_layers", "num_heads"),
        Key("attention", "causal"),
        *([] if s.get("bias", True) else [Key("bias", "false", "bias")]),
        *([Key("dropout", plain(dropout), "dropout")] if dropout else []),
    ]
    return decoder(s, words, stream, tied=False)


FAMILIES: Final = (
    Family(
        "coarse_acoustics",
        {
            "text_embedding.table": ("input_embeds_layer",),
            "text_embedding.position": ("position_embeds_layer.weight",),
            "text_stream.norm": ("layernorm_final",),
            "next_head.output": ("lm_head",),
            **within(BLOCK, _LAYER, "layers.#"),
        },
        _draft,
        architecture="BarkCoarseModel",
    ),
)
