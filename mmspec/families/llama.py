"""Llama, and those that name their weights like it: Mistral, Qwen2, Qwen3, SmolLM3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mmspec.families.decoder import ATTENDING, decoder, grouped, window
from mmspec.families.decoder import GATED as GATED_ROLES
from mmspec.families.draft import Draft, biases, tokens, varied
from mmspec.families.family import Family, Inside, Names, joined, within
from mmspec.families.rotary import rotary
from mmspec.families.settings import Key, Settings, plain

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


def named(kind: str, draft: Callable[[Settings], Draft], *inside: Inside) -> Family:
    """A family with Llama's ends, and these names inside a layer."""
    layers = {name: there for each in inside for name, there in each.items()}
    return Family(kind, {**ENDS, **within(BLOCK, layers, LAYER)}, base="model", draft=draft)


def gated(s: Settings, act: str = "hidden_act", default: str = "silu") -> Key:
    """The feed-forward of a layer."""
    inner, kind = s.size("intermediate_size"), s.activation(act, default)
    return Key("feed_forward", f"{{kind: glu, width: {inner}, activation: {kind}}}", act)


def rms(s: Settings, eps: float = 1e-6) -> str:
    """The smallest variance of norms."""
    return plain(s.number("rms_norm_eps", eps))


def biased(s: Settings, attention: bool = False) -> Key:
    """The biases of a layer; attention: whether queries, keys and values have one in any case."""
    all_four, feed = bool(s.get("attention_bias")), bool(s.get("mlp_bias"))
    roles = dict.fromkeys(ATTENDING[:3], attention or all_four)
    roles |= {"output": all_four, **dict.fromkeys(GATED_ROLES, feed)}
    return Key("bias", biases(roles, norms=False), "attention_bias")


def _masks(s: Settings, depth: int) -> list[str]:
    """Of each layer, `sliding` or `full`."""
    kinds = s.get("layer_types")
    slides = bool(s.get("use_sliding_window")) and s.get("sliding_window") is not None
    first = s.get("max_window_layers", depth)
    if isinstance(kinds, list):
        return ["sliding" if kind == "sliding_attention" else "full" for kind in kinds]
    return ["sliding" if slides and layer >= first else "full" for layer in range(depth)]


def _attention(s: Settings) -> list[Key]:
    """Of Qwen: all that came before, in some layers a window of it."""
    size = s.get("sliding_window") or 1
    kinds = {
        "full": [Key("attention", "causal")],
        "sliding": [Key("attention", window(size), "sliding_window")],
    }
    keys = varied(_masks(s, s.size("num_hidden_layers")), kinds, "layer_types")
    return keys if keys[0].key == "attention" else [Key("attention", "causal"), *keys]


def _text(s: Settings) -> list[Key]:
    return tokens(s, position="rotary")


def _llama(s: Settings) -> Draft:
    keys = [*rotary(s), Key("norm", f"rms({rms(s)})", "rms_norm_eps"), biased(s), gated(s)]
    return decoder(s, _text(s), [*grouped(s), Key("attention", "causal"), *keys], tied=False)


def _mistral(s: Settings) -> Draft:
    size = s.get("sliding_window")
    mask = Key("attention", window(size) if size else "causal", "sliding_window")
    keys = [*rotary(s), Key("norm", f"rms({rms(s)})", "rms_norm_eps"), biased(s), gated(s)]
    return decoder(s, _text(s), [*grouped(s, kv_heads=8), mask, *keys], tied=False)


def _qwen2(s: Settings) -> Draft:
    keys = [*_attention(s), *rotary(s), Key("norm", f"rms({rms(s)})", "rms_norm_eps")]
    shape = grouped(s, kv_heads=32)
    return decoder(s, _text(s), [*shape, *keys, biased(s, attention=True), gated(s)], tied=False)


def _qwen3(s: Settings) -> Draft:
    eps = rms(s)
    scores = Key("scores", f"{{qk_norm: rms({eps})}}", "rms_norm_eps")
    keys = [*_attention(s), scores, *rotary(s), Key("norm", f"rms({eps})", "rms_norm_eps")]
    shape = grouped(s, kv_heads=32, head_width=128)
    return decoder(s, _text(s), [*shape, *keys, biased(s), gated(s)], tied=False)


def _smollm3(s: Settings) -> Draft:
    depth, step = s.size("num_hidden_layers"), s.size("no_rope_layer_interval", 4)
    s.only(use_sliding_window=False)
    s.unused("layer_types", "sliding_window", "max_window_layers")
    turned = s.get("no_rope_layers", [int((layer + 1) % step != 0) for layer in range(depth)])
    kinds: dict[str, list[Key]] = {"turned": [], "plain": [Key("rotary", "none")]}
    order = varied(["turned" if each else "plain" for each in turned], kinds, "no_rope_layers")
    keys = [*rotary(s), Key("norm", f"rms({rms(s)})", "rms_norm_eps"), biased(s), gated(s), *order]
    stream = [*grouped(s, kv_heads=4), Key("attention", "causal"), *keys]
    return decoder(s, _text(s), stream, tied=True)


FAMILIES: Final = (
    named("llama", _llama, ATTENTION, NORMS, GATED),
    named("mistral", _mistral, ATTENTION, NORMS, GATED),
    named("qwen2", _qwen2, ATTENTION, NORMS, GATED),
    named("smollm3", _smollm3, ATTENTION, NORMS, GATED),
    named("qwen3", _qwen3, ATTENTION, NORMS, GATED, QK_NORMS),
)
