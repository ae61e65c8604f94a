"""Gemma, and Gemma 3 with norms before and after each sub-layer."""

from __future__ import annotations

from typing import Final

from mmspec.families.decoder import decoder, grouped, window
from mmspec.families.draft import Draft, tokens, varied
from mmspec.families.llama import ATTENTION, GATED, NORMS, QK_NORMS, biased, gated, named, rms
from mmspec.families.rotary import rotary, turning
from mmspec.families.settings import Key, Settings

_SANDWICH: Final = {
    "attention_norm": "input_layernorm",
    "attention_norm_after": "post_attention_layernorm",
    "feed_forward_norm": "pre_feedforward_layernorm",
    "feed_forward_norm_after": "post_feedforward_layernorm",
}
_EACH: Final = 6
"""Every sixth layer of Gemma 3 sees all, where settings do not say."""


def _gemma(s: Settings) -> Draft:
    s.only(use_bidirectional_attention=False)
    name = "hidden_activation" if s.get("hidden_activation") else "hidden_act"
    s.unused("hidden_act")
    norm = Key("norm", f"{{kind: rms, eps: {rms(s)}, offset: 1}}", "rms_norm_eps")
    keys = [*rotary(s), norm, biased(s), gated(s, name, "gelu_pytorch_tanh")]
    shape = grouped(s, head_width=256)
    stream = [*shape, Key("attention", "causal"), *keys]
    return decoder(s, tokens(s, position="rotary", scale="sqrt(d)"), stream, tied=True)


def _gemma3(s: Settings) -> Draft:
    s.only(use_bidirectional_attention=False, attn_logit_softcapping=None)
    s.only(final_logit_softcapping=None)
    eps, head = rms(s), s.size("head_dim", 256)
    by = s.get("query_pre_attn_scalar", 256)
    scale = "" if by == head else f"scale: 1/sqrt({by}), "
    normed = f"{{{scale}qk_norm: {{kind: rms, eps: {eps}, offset: 1}}}}"
    stream = [
        *grouped(s, kv_heads=4, head_width=256),
        Key("attention", "causal"),
        Key("scores", normed, "query_pre_attn_scalar, rms_norm_eps"),
        Key("norm", f"{{kind: rms, eps: {eps}, offset: 1, placement: sandwich}}", "rms_norm_eps"),
        biased(s),
        gated(s, "hidden_activation", "gelu_pytorch_tanh"),
        *_layers(s),
    ]
    return decoder(s, tokens(s, position="rotary", scale="sqrt(d)"), stream, tied=True)


def _layers(s: Settings) -> list[Key]:
    """Local layers and global ones, which turn by bases of their own."""
    each = s.get("sliding_window_pattern", s.get("_sliding_window_pattern", _EACH))
    depth = s.size("num_hidden_layers")
    types = [
        "full_attention" if (at + 1) % each == 0 else "sliding_attention" for at in range(depth)
    ]
    given = s.get("rope_parameters", {})
    if "full_attention" in given:
        s.unused("rope_theta", "rope_local_base_freq", "rope_scaling")
        turns = {
            "global": turning(s, given["full_attention"]),
            "local": turning(s, given.get("sliding_attention", {})),
        }
    else:
        scaling = s.get("rope_scaling", {})
        turns = {
            "global": turning(s, {**scaling, "rope_theta": s.get("rope_theta", 1e6)}),
            "local": turning(s, {"rope_theta": s.get("rope_local_base_freq", 1e4)}),
        }
    spun = {name: [Key("rotary", f"{{{text}}}")] if text else [] for name, text in turns.items()}
    kinds = {
        "local": [Key("attention", window(s.size("sliding_window", 4096))), *spun["local"]],
        "global": spun["global"],
    }
    labels = [
        "local" if kind == "sliding_attention" else "global" for kind in s.get("layer_types", types)
    ]
    return varied(labels, kinds, "layer_types, sliding_window, rope_parameters")


FAMILIES: Final = (
    named("gemma", _gemma, ATTENTION, NORMS, GATED),
    named("gemma3_text", _gemma3, ATTENTION, QK_NORMS, GATED, _SANDWICH),
)
