"""Speech2Text: an encoder of sound behind gated convolutions, and a decoder of text."""

from __future__ import annotations

from typing import Final

from mmspec.families.draft import Draft, tokens
from mmspec.families.draft import init as first
from mmspec.families.family import Family, within
from mmspec.families.seq2seq import BART
from mmspec.families.settings import Key, Settings
from mmspec.families.whisper import stream

_PLACES: Final = "sincos(offset=2, interleaved=false, endpoint=true)"
_CONVOLUTIONS: Final = "model.encoder.conv.conv_layers"


def _draft(s: Settings) -> Draft:
    s.only(num_conv_layers=2, input_channels=1)
    (one, other), wide = s.get("conv_kernel_sizes", (5, 5)), s.size("conv_channels", 1024)
    scale = [Key("scale", "sqrt(d)", "scale_embedding")] if s.get("scale_embedding", True) else []
    stem = f'"convolution({wide}, kernel={one}, stride=2)", glu, '
    stem += f'"convolution(2*d, kernel={other}, stride=2)", glu'
    sound = [
        Key("kind", "audio"),
        Key("features", str(s.size("input_feat_per_channel", 80)), "input_feat_per_channel"),
        Key("rate", "100 Hz"),
        Key("length", f"{{max: {s.size('max_source_positions', 6000)}}}", "max_source_positions"),
        Key("stem", f"[{stem}]", "conv_channels, conv_kernel_sizes"),
        Key("position", _PLACES),
        *scale,
    ]
    words = [*tokens(s, "max_target_positions", 1024, position=_PLACES), *scale]
    reading = [
        *stream(s, "text", "decoder", "relu"),
        Key("attention", "causal"),
        Key("block", "[attention, {cross: sound}, feed_forward]"),
    ]
    head = [Key("from", "text"), Key("kind", "language-model")]
    head += [] if s.get("tie_word_embeddings", True) else [Key("tied", "false")]
    streams = {"sound": stream(s, "sound", "encoder", "relu"), "text": reading}
    size = {"d": (s.size("d_model", 256), "d_model")}
    return Draft(
        size, first(s, "init_std"), {"sound": sound, "text": words}, streams, {"next": head}
    )


FAMILIES: Final = (
    Family(
        "speech_to_text",
        {
            "sound_embedding.stem.convolution": (f"{_CONVOLUTIONS}.0",),
            "sound_embedding.stem.convolution_2": (f"{_CONVOLUTIONS}.1",),
            **within(
                "sound_stream.blocks.#",
                {name: there for name, there in BART.items() if not name.startswith("cross")},
                "model.encoder.layers.#",
            ),
            "sound_stream.norm": ("model.encoder.layer_norm",),
            "text_embedding.table": ("model.decoder.embed_tokens",),
            **within("text_stream.blocks.#", BART, "model.decoder.layers.#"),
            "text_stream.norm": ("model.decoder.layer_norm",),
            "next_head.output": ("lm_head",),
        },
        _draft,
        base="model",
        reads=("audio", "tokens"),
        architecture="Speech2TextForConditionalGeneration",
    ),
)
