"""StarCoder2: Llama's names around a plain feed-forward."""

from __future__ import annotations

from typing import Final

from mmspec.families.decoder import decoder, grouped, window
from mmspec.families.draft import Draft, tokens, widened
from mmspec.families.llama import ATTENTION, NORMS, named
from mmspec.families.rotary import rotary
from mmspec.families.settings import Key, Settings, plain

_PLAIN: Final = {"feed_forward.up": "mlp.c_fc", "feed_forward.down": "mlp.c_proj"}


def _starcoder2(s: Settings) -> Draft:
    size, width = s.get("sliding_window"), s.size("hidden_size")
    act = s.activation("hidden_act", "gelu_pytorch_tanh")
    inner = widened(s, "intermediate_size", width)
    stream = [
        *grouped(s, kv_heads=2),
        Key("attention", window(size) if size else "causal", "sliding_window"),
        *rotary(s),
        Key("norm", f"layer({plain(s.number('norm_epsilon', 1e-5))})", "norm_epsilon"),
        Key("bias", "true" if s.get("use_bias", True) else "{linear: false}", "use_bias"),
        Key("feed_forward", f"{{kind: mlp, width: {inner}, activation: {act}}}", "hidden_act"),
    ]
    return decoder(s, tokens(s, longest=4096, position="rotary"), stream, tied=True)


FAMILIES: Final = (named("starcoder2", _starcoder2, ATTENTION, NORMS, _PLAIN),)
