"""OPT: positions from 2 on, a feed-forward with relu."""

from __future__ import annotations

from typing import Final

from mmspec.families.decoder import decoder, shape
from mmspec.families.draft import Draft, tokens, widened
from mmspec.families.family import Family, Inside, joined, within
from mmspec.families.llama import BLOCK
from mmspec.families.settings import Key, Settings, plain

_LAYER: Final[Inside] = {
    "attention_norm": "self_attn_layer_norm",
    "attention.qkv": joined("self_attn.{}_proj"),
    "attention.output": "self_attn.out_proj",
    "feed_forward_norm": "final_layer_norm",
    "feed_forward.up": "fc1",
    "feed_forward.down": "fc2",
}


def _opt(s: Settings) -> Draft:
    width = s.size("hidden_size")
    s.only(do_layer_norm_before=True, enable_bias=True, layer_norm_elementwise_affine=True)
    s.only(word_embed_proj_dim=width, _remove_final_layer_norm=False)
    inner, act = widened(s, "ffn_dim", width), s.activation("activation_function", "relu")
    stream = [
        *shape(s),
        Key("attention", "causal"),
        Key("dropout", plain(s.number("dropout", 0.1)), "dropout"),
        Key("feed_forward", f"{{kind: mlp, width: {inner}, activation: {act}}}", "ffn_dim"),
    ]
    modality = tokens(s, position="learned(offset=2)")
    return decoder(s, modality, stream, tied=True, init="init_std")


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
        draft=_opt,
    ),
)
