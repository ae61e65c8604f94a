"""Decoders whose layers hold one map to queries, keys and values: GPT-NeoX, Falcon, BLOOM, MPT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mmspec.families.decoder import decoder, shape
from mmspec.families.draft import Draft, tokens, widened
from mmspec.families.family import Family, Layout, Names, within
from mmspec.families.llama import BLOCK, NORMS
from mmspec.families.rotary import rotary
from mmspec.families.settings import Key, Settings, plain

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


def _norm(s: Settings, name: str = "layer_norm_epsilon") -> Key:
    return Key("norm", f"layer({plain(s.number(name, 1e-5))})", name)


def _feed(width: str, activation: str, source: str) -> Key:
    return Key("feed_forward", f"{{kind: mlp, width: {width}, activation: {activation}}}", source)


def _neox(s: Settings) -> Draft:
    s.only(attention_bias=True)
    s.unused("is_decoder")
    width, act = s.size("hidden_size"), s.activation("hidden_act", "gelu")
    both = "[{parallel: [attention, feed_forward]}]"
    beside = s.get("use_parallel_residual", True)
    stream = [
        *shape(s),
        Key("attention", "causal"),
        *rotary(s, "rotary_emb_base", "rotary_pct"),
        _norm(s, "layer_norm_eps"),
        _feed(widened(s, "intermediate_size", width), act, "intermediate_size, hidden_act"),
        *([Key("block", both, "use_parallel_residual")] if beside else []),
    ]
    return decoder(s, tokens(s, position="rotary"), stream, tied=False)


def _falcon(s: Settings) -> Draft:
    s.only(alibi=False, new_decoder_architecture=False, multi_query=True, parallel_attn=True)
    s.only(num_ln_in_parallel_attn=None)
    s.unused("num_kv_heads")  # multi_query means one
    width, act = s.size("hidden_size"), s.activation("activation", "gelu")
    stream = [
        *shape(s),
        Key("kv_heads", "1", "multi_query"),
        Key("attention", "causal"),
        *rotary(s),
        _norm(s),
        Key("bias", "true" if s.get("bias") else "{linear: false}", "bias"),
        _feed(widened(s, "ffn_hidden_size", width), act, "ffn_hidden_size, activation"),
        Key("block", "[{parallel: [attention, feed_forward], norm: shared}]", "parallel_attn"),
    ]
    return decoder(s, tokens(s, position="rotary"), stream, tied=True)


def _bloom(s: Settings) -> Draft:
    s.only(apply_residual_connection_post_layernorm=False)
    norm = _norm(s)
    stream = [
        *shape(s, "n_layer", "n_head"),
        Key("attention", "causal"),
        Key("scores", "{relative: alibi}"),
        norm,
        _feed("4*d", "gelu-tanh", ""),
    ]
    return decoder(s, tokens(s, "seq_length", norm=norm.value), stream, tied=True)


def _mpt(s: Settings) -> Draft:
    inside = s.part("attn_config")
    inside.only(alibi=True, alibi_bias_max=8, clip_qkv=None, qk_ln=False, prefix_lm=False)
    inside.only(softmax_scale=None, attn_type="multihead_attention", attn_uses_sequence_id=False)
    inside.unused("attn_impl")
    s.only(no_bias=True, logit_scale=None)
    s.unused("init_device", "embedding_fraction", "norm_type", "learned_pos_emb")
    stream = [
        *shape(s, "n_layers", "n_heads", "d_model"),
        Key("attention", "causal"),
        Key("scores", "{relative: alibi}", "attn_config.alibi"),
        _norm(s),
        Key("bias", "false", "no_bias"),
        _feed(f"{s.size('expansion_ratio', 4)}*d", "gelu", "expansion_ratio"),
    ]
    return decoder(s, tokens(s, "max_seq_len"), stream, tied=True, width="d_model")


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
        draft=_neox,
        layouts=_BY_HEAD,
    ),
    Family(
        "falcon",
        {**_ENDS, **_layers({**_FALCON, "parallel_norm": "input_layernorm"}, "transformer.h.#")},
        base="transformer",
        draft=_falcon,
    ),
    Family(
        "bloom",
        {**_ENDS, **_layers({**_FALCON, **NORMS}, "transformer.h.#")},
        base="transformer",
        draft=_bloom,
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
        draft=_mpt,
    ),
)
