"""OLMo 2: norms stand behind each sub-layer, and over all heads of queries and keys."""

from __future__ import annotations

from typing import Final

from mmspec.families.decoder import decoder, grouped
from mmspec.families.draft import Draft, tokens
from mmspec.families.llama import ATTENTION, GATED, QK_NORMS, biased, gated, named, rms
from mmspec.families.rotary import rotary
from mmspec.families.settings import Key, Settings

_AFTER: Final = {
    "attention_norm_after": "post_attention_layernorm",
    "feed_forward_norm_after": "post_feedforward_layernorm",
}


def _olmo2(s: Settings) -> Draft:
    eps = rms(s, 1e-5)
    normed = f"{{qk_norm: {{kind: rms, eps: {eps}, over: heads}}}}"
    stream = [
        *grouped(s),
        Key("attention", "causal"),
        Key("scores", normed, "rms_norm_eps"),
        *rotary(s),
        Key("norm", f"{{kind: rms, eps: {eps}, placement: branch}}", "rms_norm_eps"),
        biased(s),
        gated(s),
    ]
    return decoder(s, tokens(s, position="rotary"), stream, tied=False)


FAMILIES: Final = (named("olmo2", _olmo2, ATTENTION, QK_NORMS, GATED, _AFTER),)
