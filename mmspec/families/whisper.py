"""Whisper: an encoder of sound and a decoder of text, or the encoder with a classifier."""

from __future__ import annotations

from typing import Final

from mmspec.families.decoder import shape
from mmspec.families.draft import Draft, classes, init, tokens, widened
from mmspec.families.family import Family, Inside, Names, joined, within
from mmspec.families.settings import Key, Settings, plain

_ENCODER: Final[Inside] = {
    "attention.qkv.weight": joined("self_attn.{}_proj.weight"),
    "attention.qkv.bias": joined("self_attn.{}_proj.bias", "qv"),
    "attention.output": "self_attn.out_proj",
    "attention_norm": "self_attn_layer_norm",
    "feed_forward.up": "fc1",
    "feed_forward.down": "fc2",
    "feed_forward_norm": "final_layer_norm",
}
_DECODER: Final[Inside] = {
    **_ENCODER,
    "cross.query": "encoder_attn.q_proj",
    "cross.key_value.weight": joined("encoder_attn.{}_proj.weight", "kv"),
    "cross.key_value.bias": "encoder_attn.v_proj.bias",
    "cross.output": "encoder_attn.out_proj",
    "cross_norm": "encoder_attn_layer_norm",
}


def _heard(there: str) -> Names:
    """Of the encoder."""
    return {
        "sound_embedding.stem.convolution": (f"{there}.conv1",),
        "sound_embedding.stem.convolution_2": (f"{there}.conv2",),
        "sound_embedding.position": (f"{there}.embed_positions.weight",),
        **within("sound_stream.blocks.#", _ENCODER, f"{there}.layers.#"),
        "sound_stream.norm": (f"{there}.layer_norm",),
    }


_TEXT: Final[Names] = {
    "text_embedding.table": ("model.decoder.embed_tokens",),
    "text_embedding.position": ("model.decoder.embed_positions.weight",),
    **within("text_stream.blocks.#", _DECODER, "model.decoder.layers.#"),
    "text_stream.norm": ("model.decoder.layer_norm",),
    "next_head.output": ("proj_out",),
}


def stream(s: Settings, name: str, side: str, act: str) -> list[Key]:
    """The stream of a side, but for its biases; act: where settings do not say it."""
    width, act = s.size("d_model"), s.activation("activation_function", act)
    inner, dropout = widened(s, f"{side}_ffn_dim", width), s.number("dropout", 0.0)
    return [
        Key("from", name),
        *shape(s, f"{side}_layers", f"{side}_attention_heads", "d_model"),
        *([Key("dropout", plain(dropout), "dropout")] if dropout else []),
        Key("feed_forward", f"{{kind: mlp, width: {inner}, activation: {act}}}"),
    ]


def _encoder(s: Settings) -> Draft:
    """Without a head."""
    s.only(scale_embedding=False, use_weighted_layer_sum=False)
    s.unused(*(f"mask_{axis}_{what}" for axis in ("time", "feature") for what in _MASKING))
    s.unused("median_filter_width", "begin_suppress_tokens", "suppress_tokens")
    frames = 2 * s.size("max_source_positions", 1500)
    sound = [
        Key("kind", "audio"),
        Key("features", str(s.size("num_mel_bins", 80)), "num_mel_bins"),
        Key("rate", "100 Hz"),
        Key("length", f"{{max: {frames}}}", "max_source_positions"),
        Key("position", "learned"),
        Key(
            "stem", '["convolution(d, kernel=3)", gelu, "convolution(d, kernel=3, stride=2)", gelu]'
        ),
    ]
    streams = {"sound": [*stream(s, "sound", "encoder", "gelu"), _BIAS]}
    size = {"d": (s.size("d_model"), "d_model")}
    return Draft(size, init(s, "init_std"), {"sound": sound}, streams, {})


_BIAS: Final = Key("bias", "{key: false}")
_MASKING: Final = ("length", "min_masks", "prob")


def _transcriber(s: Settings) -> Draft:
    made = _encoder(s)
    s.only(tie_word_embeddings=True)
    s.unused("classifier_proj_size")
    text = [
        *stream(s, "text", "decoder", "gelu"),
        _BIAS,
        Key("attention", "causal"),
        Key("block", "[attention, {cross: sound}, feed_forward]"),
    ]
    head = [Key("from", "text"), Key("kind", "language-model")]
    words = tokens(s, "max_target_positions", 448, position="learned")
    modalities, streams = {**made.modalities, "text": words}, {**made.streams, "text": text}
    return Draft(made.dims, made.init, modalities, streams, {"next": head})


def _classifier(s: Settings) -> Draft:
    made, common = _encoder(s), s.size("classifier_proj_size", 256)
    s.unused("vocab_size", "max_target_positions", "tie_word_embeddings")
    s.unused(*(f"decoder_{what}" for what in ("layers", "attention_heads", "ffn_dim")))
    head = [
        Key("from", "sound"),
        Key("kind", "classifier"),
        classes(s),
        Key("through", f"[linear({common})]", "classifier_proj_size"),
    ]
    return Draft(made.dims, made.init, made.modalities, made.streams, {"label": head})


FAMILIES: Final = (
    Family(
        "whisper",
        {**_heard("model.encoder"), **_TEXT},
        _transcriber,
        base="model",
        reads=("audio", "tokens"),
        architecture="WhisperForConditionalGeneration",
    ),
    Family(
        "whisper_classifier",
        {
            **_heard("encoder"),
            "label_head.through.linear": ("projector",),
            "label_head.output": ("classifier",),
        },
        _classifier,
        reads=("audio",),
        architecture="WhisperForAudioClassification",
    ),
)
