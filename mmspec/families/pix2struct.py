"""Pix2Struct: patches of a picture of any shape at given places, and a decoder of text."""

from __future__ import annotations

from typing import Final

from mmspec.families.draft import Draft, tokens
from mmspec.families.family import Family, Inside, within
from mmspec.families.llama import BLOCK
from mmspec.families.settings import Key, Settings, plain

_SEEN: Final[Inside] = {
    "attention.qkv": tuple(f"attention.{x}" for x in ("query", "key", "value")),
    "attention.output": "attention.output",
    "attention_norm": "pre_attention_layer_norm",
    "feed_forward.gate": "mlp.wi_0",
    "feed_forward.up": "mlp.wi_1",
    "feed_forward.down": "mlp.wo",
    "feed_forward_norm": "pre_mlp_layer_norm",
}
_CROSS: Final = "encoder_decoder_attention"
_READ: Final[Inside] = {
    "attention.qkv": tuple(f"self_attention.attention.{x}" for x in ("query", "key", "value")),
    "attention.output": "self_attention.attention.output",
    "attention_norm": "self_attention.layer_norm",
    "cross.query": f"{_CROSS}.attention.query",
    "cross.key_value": (f"{_CROSS}.attention.key", f"{_CROSS}.attention.value"),
    "cross.output": f"{_CROSS}.attention.output",
    "cross_norm": f"{_CROSS}.layer_norm",
    "feed_forward.gate": "mlp.DenseReluDense.wi_0",
    "feed_forward.up": "mlp.DenseReluDense.wi_1",
    "feed_forward.down": "mlp.DenseReluDense.wo",
    "feed_forward_norm": "mlp.layer_norm",
}
_FIRST: Final = "decoder.layer.0.self_attention.attention"


def _stream(s: Settings, name: str, width: str, depth: str, heads: str, eps: str) -> list[Key]:
    """Of a side; depth, heads, eps: what settings call these."""
    count, head = s.size(heads, 12), s.size("d_kv", 64)
    act, dropout = s.activation("dense_act_fn", "gelu_new"), s.number("dropout_rate", 0.0)
    inner = s.size("d_ff", 2048)
    return [
        Key("from", name),
        Key("depth", str(s.size(depth, 12)), depth),
        *(Key("width", width), Key("heads", str(count), heads)),
        *([Key("head_width", str(head), "d_kv")] if head * count != s.size("hidden_size") else []),
        Key("scores", "{scale: 1}"),
        Key("norm", f"rms({plain(s.number(eps, 1e-6))})", eps),
        Key("bias", "false"),
        *([Key("dropout", plain(dropout), "dropout_rate")] if dropout else []),
        Key("feed_forward", f"{{kind: glu, width: {inner}, activation: {act}}}", "dense_act_fn"),
    ]


def _draft(s: Settings) -> Draft:
    text, image = s.part("text_config"), s.part("vision_config")
    s.unused("is_vqa", "initializer_range")
    text.only(tie_word_embeddings=False)
    text.unused("initializer_range", "is_decoder", "add_cross_attention")
    image.unused("initializer_range", *_BUCKETS)
    most, (count, reach) = image.size("seq_len", 4096), (text.size(name) for name in _BUCKETS)
    patches = [
        Key("kind", "series"),
        Key("features", str(image.size("patch_embed_hidden_size", 768)), "patch_embed_hidden_size"),
        Key("rate", "1 Hz", "of no meaning here: patches have no time"),
        Key("length", f"{{max: {most}}}", "seq_len"),
        Key("add", f"{{row: {{categories: {most}}}, column: {{categories: {most}}}}}", "seq_len"),
    ]
    scores = f"{{scale: 1, relative: buckets({count}, {reach}, sides=1), tied: true}}"
    reading = [
        *_stream(text, "text", "d", "num_layers", "num_heads", "layer_norm_epsilon"),
        Key("attention", "causal"),
        Key("block", "[attention, {cross: screen}, feed_forward]"),
        Key("scores", scores, "relative_attention_num_buckets, ..._max_distance"),
    ]
    seeing = ("num_hidden_layers", "num_attention_heads", "layer_norm_eps")
    head = [Key("from", "text"), Key("kind", "language-model"), Key("tied", "false")]
    sizes = {
        name: (part.size("hidden_size", 768), "hidden_size") for name, part in _of(text, image)
    }
    return Draft(
        sizes,
        Key("init", "fan-in"),
        {"screen": patches, "text": tokens(text, "no_length", 2048)},
        {"screen": _stream(image, "screen", "v", *seeing), "text": reading},
        {"next": head},
    )


def _of(text: Settings, image: Settings) -> tuple[tuple[str, Settings], ...]:
    return ("d", text), ("v", image)


_BUCKETS: Final = ("relative_attention_num_buckets", "relative_attention_max_distance")

FAMILIES: Final = (
    Family(
        "pix2struct",
        {
            "screen_embedding.frames": ("encoder.embeddings.patch_projection",),
            "screen_embedding.added_row": ("encoder.embeddings.row_embedder",),
            "screen_embedding.added_column": ("encoder.embeddings.column_embedder",),
            **within("screen_stream.blocks.#", _SEEN, "encoder.encoder.layer.#"),
            "screen_stream.norm": ("encoder.layernorm",),
            "text_embedding.table": ("decoder.embed_tokens",),
            "text_stream.relative.weight": (f"{_FIRST}.relative_attention_bias.weight",),
            **within(BLOCK, _READ, "decoder.layer.#"),
            "text_stream.norm": ("decoder.final_layer_norm",),
            "next_head.output": ("decoder.lm_head",),
        },
        _draft,
        reads=("series", "tokens"),
        architecture="Pix2StructForConditionalGeneration",
    ),
)
