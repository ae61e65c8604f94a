"""StarCoder2: Llama's names around a plain feed-forward."""

from __future__ import annotations

from typing import Final

from mmspec.families.llama import ATTENTION, NORMS, decoder

_PLAIN: Final = {"feed_forward.up": "mlp.c_fc", "feed_forward.down": "mlp.c_proj"}

FAMILIES: Final = (decoder("starcoder2", ATTENTION, NORMS, _PLAIN),)
