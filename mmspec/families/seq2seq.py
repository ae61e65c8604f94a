"""An encoder and a decoder over one table of tokens: BART, T5."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mmspec.families.decoder import shape
from mmspec.families.draft import Draft, init, tokens, widened
from mmspec.families.family import Family, Inside, Names, joined, prefixed
from mmspec.families.settings import Key, Settings, plain

_SIDES: Final = (("source", "encoder"), ("target", "decoder"))
BART: Final[Inside] = {
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
        yield from _stack(ours, BART, f"{there}.layers.#").items()


def _t5_names() -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "source_embedding.table", ("shared",)
    yield "next_head.output", ("lm_head",)
    for last, (ours, side) in enumerate(_SIDES, 1):
        first = f"{side}.block.0.layer.0.SelfAttention"
        yield f"{ours}_stream.relative.weight", (f"{first}.relative_attention_bias.weight",)
        yield f"{ours}_stream.norm", (f"{side}.final_layer_norm",)
        yield from _stack(ours, _t5(last), f"{side}.block.#.layer").items()


def _next(s: Settings, *more: Key) -> dict[str, list[Key]]:
    s.only(tie_word_embeddings=True)
    return {"next": [Key("from", "target"), Key("kind", "language-model"), *more]}


def _bart_draft(s: Settings) -> Draft:
    s.only(normalize_before=False, normalize_embedding=True, add_final_layer_norm=False)
    s.only(static_position_embeddings=False, add_bias_logits=False, is_decoder=False)
    width, act = s.size("d_model"), s.activation("activation_function", "gelu")
    common = [Key("norm", "{placement: post}"), Key("final_norm", "false")]
    common.append(Key("dropout", plain(s.number("dropout", 0.1)), "dropout"))
    row = {"position": "learned(offset=2)", "norm": "layer"}
    if s.get("scale_embedding"):
        row["scale"] = "sqrt(d)"
    streams = {}
    for name, side in _SIDES:
        inner = widened(s, f"{side}_ffn_dim", width)
        streams[name] = [
            Key("from", name),
            *shape(s, f"{side}_layers", f"{side}_attention_heads", "d_model"),
            *common,
            Key("feed_forward", f"{{kind: mlp, width: {inner}, activation: {act}}}"),
        ]
    streams["target"] += _READING
    row["tied"] = "source"
    target = tokens(s, longest=1024, **row)
    del row["tied"]
    return Draft(
        {"d": (width, "d_model")},
        init(s, "init_std"),
        {"source": tokens(s, longest=1024, **row), "target": target},
        streams,
        _next(s),
    )


_READING: Final = (
    Key("attention", "causal"),
    Key("block", "[attention, {cross: source}, feed_forward]"),
)


def _t5_draft(s: Settings) -> Draft:
    width, heads, head = s.size("d_model"), s.size("num_heads"), s.size("d_kv", 64)
    act = s.activation("feed_forward_proj", "relu")
    counts = s.size("relative_attention_num_buckets", 32)
    s.only(scale_decoder_outputs=True, is_gated_act=False, is_decoder=False)
    s.unused("dense_act_fn", "initializer_factor")
    inner = widened(s, "d_ff", width)
    eps = plain(s.number("layer_norm_epsilon", 1e-6))
    reach = s.size("relative_attention_max_distance", 128)
    streams = {}
    ends = (("source", "num_layers", ""), ("target", "num_decoder_layers", ", sides=1"))
    for name, depth, sides in ends:
        count = s.size(depth, s.size("num_layers"))
        scores = f"{{scale: 1, relative: buckets({counts}, {reach}{sides}), tied: true}}"
        streams[name] = [
            Key("from", name),
            Key("depth", str(count), depth),
            *(Key("width", "d", "d_model"), Key("heads", str(heads), "num_heads")),
            *([Key("head_width", str(head), "d_kv")] if head * heads != width else []),
            Key("scores", scores, "relative_attention_num_buckets, ..._max_distance"),
            Key("norm", f"rms({eps})", "layer_norm_epsilon"),
            Key("bias", "false"),
            Key("dropout", plain(s.number("dropout_rate", 0.1)), "dropout_rate"),
            Key("feed_forward", f"{{kind: mlp, width: {inner}, activation: {act}}}"),
        ]
    streams["target"] += _READING
    return Draft(
        {"d": (width, "d_model")},
        Key("init", "fan-in"),
        {
            "source": tokens(s, "n_positions", 512, position="none"),
            "target": tokens(s, "n_positions", 512, position="none", tied="source"),
        },
        streams,
        _next(s, Key("scale", "1/sqrt(d)", "scale_decoder_outputs")),
    )


_WHOLE: Final = "ForConditionalGeneration"

FAMILIES: Final = (
    Family(
        "bart",
        dict(_bart()),
        _bart_draft,
        base="model",
        zeros=("final_logits_bias",),
        architecture=_WHOLE,
    ),
    Family("t5", dict(_t5_names()), _t5_draft, architecture=_WHOLE),
)
