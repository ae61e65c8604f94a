"""GPT-2, which stores its linear maps transposed."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from mmspec.families.decoder import decoder, shape
from mmspec.families.draft import Draft, tokens, widened
from mmspec.families.family import Family, within
from mmspec.families.llama import BLOCK
from mmspec.families.settings import Key, Settings, plain

_LAYER: Final = {
    "attention_norm": "ln_1",
    "attention.qkv": "attn.c_attn",
    "attention.output": "attn.c_proj",
    "feed_forward_norm": "ln_2",
    "feed_forward.up": "mlp.c_fc",
    "feed_forward.down": "mlp.c_proj",
}


def _gpt2(s: Settings) -> Draft:
    s.only(
        scale_attn_weights=True, scale_attn_by_inverse_layer_idx=False, add_cross_attention=False
    )
    s.unused(*(f"summary_{x}" for x in ("type", "use_proj", "activation", "proj_to_labels")))
    s.unused("summary_first_dropout", "n_ctx")
    inner = widened(s, "n_inner", s.size("n_embd"))
    act = s.activation("activation_function", "gelu_new")
    feed = f"{{kind: mlp, width: {inner}, activation: {act}}}"
    stream = [
        *shape(s, "n_layer", "n_head", "n_embd"),
        Key("attention", "causal"),
        Key("norm", f"layer({plain(s.number('layer_norm_epsilon', 1e-5))})", "layer_norm_epsilon"),
        Key("dropout", plain(s.number("resid_pdrop", 0.1)), "resid_pdrop"),
        Key("feed_forward", feed, "n_inner, activation_function"),
    ]
    modality = tokens(s, "n_positions", 1024, position="learned")
    made = decoder(s, modality, stream, tied=True, width="n_embd")
    is_as_published = s.number("initializer_range", 0.02) == 0.02
    return replace(made, init=Key("init", "gpt2")) if is_as_published else made


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
        architecture="LMHeadModel",
        draft=_gpt2,
        layouts={f"{BLOCK}.{name}": "transposed" for name in _LAYER if not name.endswith("norm")},
    ),
)
