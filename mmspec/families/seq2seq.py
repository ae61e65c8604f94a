"""An encoder and a decoder over one table of tokens: BART, T5."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mmspec.families.family import Family, Inside, Names, joined, prefixed

_SIDES: Final = (("source", "encoder"), ("target", "decoder"))
_BART: Final[Inside] = {
    "attention.qkv": joined("self_attn.{}_proj"),
    "attention.output": "self_attn.out_proj",
    "attention_norm": "self_attn_layer_norm",
    "cross.query": "encoder_attn.q_proj",
    "cross.key_value": joined("encoder_attn.{}_proj", "kv"),
    "cross.output": "encoder_attn.out_proj",
    "cross_norm": "encoder_attn_layer_norm",
    "feed_forward.up": "fc1",
    "feed_forward.down": "fc2",
    "feed_forward_norm": "final_layer_norm",
}


def _t5(last: int) -> Inside:
    """Of a layer; last: the number of its last sub-layer."""
    return {
        "attention.qkv": joined("0.SelfAttention.{}"),
        "attention.output": "0.SelfAttention.o",
        "attention_norm": "0.layer_norm",
        "cross.query": "1.EncDecAttention.q",
        "cross.key_value": joined("1.EncDecAttention.{}", "kv"),
        "cross.output": "1.EncDecAttention.o",
        "cross_norm": "1.layer_norm",
        "feed_forward.up": f"{last}.DenseReluDense.wi",
        "feed_forward.down": f"{last}.DenseReluDense.wo",
        "feed_forward_norm": f"{last}.layer_norm",
    }


def _stack(stream: str, inside: Inside, there: str) -> Names:
    """Of a side; only the decoder reads across."""
    return {
        f"{stream}_stream.blocks.#.{name}": prefixed(there, theirs)
        for name, theirs in inside.items()
        if stream == "target" or not name.startswith("cross")
    }


def _bart() -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "source_embedding.table", ("model.shared",)
    yield "next_head.output", ("lm_head",)
    for ours, side in _SIDES:
        there = f"model.{side}"
        yield f"{ours}_embedding.position", (f"{there}.embed_positions.weight",)
        yield f"{ours}_embedding.norm", (f"{there}.layernorm_embedding",)
        yield from _stack(ours, _BART, f"{there}.layers.#").items()


def _t5_names() -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "source_embedding.table", ("shared",)
    yield "next_head.output", ("lm_head",)
    for last, (ours, side) in enumerate(_SIDES, 1):
        first = f"{side}.block.0.layer.0.SelfAttention"
        yield f"{ours}_stream.relative.weight", (f"{first}.relative_attention_bias.weight",)
        yield f"{ours}_stream.norm", (f"{side}.final_layer_norm",)
        yield from _stack(ours, _t5(last), f"{side}.block.#.layer").items()


FAMILIES: Final = (
    Family("bart", dict(_bart()), base="model", zeros=("final_logits_bias",)),
    Family("t5", dict(_t5_names())),
)
