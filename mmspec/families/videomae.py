"""VideoMAE: a transformer of tubelets at fixed places, whose mean a classifier reads."""

from __future__ import annotations

from typing import Final

from mmspec.families.decoder import shape
from mmspec.families.draft import Draft, classes, init, widened
from mmspec.families.family import Family, Inside, joined, within
from mmspec.families.settings import Key, Settings, plain
from mmspec.families.vit import picture

_LAYER: Final[Inside] = {
    "attention.qkv.weight": tuple(
        f"attention.attention.{x}.weight" for x in ("query", "key", "value")
    ),
    "attention.qkv.bias": joined("attention.attention.{}_bias", "qv"),
    "attention.output": "attention.output.dense",
    "attention_norm": "layernorm_before",
    "feed_forward_norm": "layernorm_after",
    "feed_forward.up": "intermediate.dense",
    "feed_forward.down": "output.dense",
}


def _draft(s: Settings) -> Draft:
    s.only(use_mean_pooling=True, qkv_bias=True)
    s.unused("norm_pix_loss", *(f"decoder_{what}" for what in _DECODER))
    width, act = s.size("hidden_size"), s.activation("hidden_act", "gelu")
    inner, eps = widened(s, "intermediate_size", width), s.number("layer_norm_eps", 1e-12)
    video = [
        *(each for each in picture(s) if each.key != "kind"),
        Key("kind", "video"),
        Key("tubelet", str(s.size("tubelet_size", 2)), "tubelet_size"),
        Key("rate", "6 Hz", "frames a second: no setting says it"),
        Key("length", f"{{max: {s.size('num_frames', 16)}}}", "num_frames"),
        Key("position", "sincos"),
    ]
    dropout = s.number("hidden_dropout_prob", 0.0)
    stream = [
        Key("from", "video"),
        *shape(s),
        Key("norm", f"layer({plain(eps)})", "layer_norm_eps"),
        Key("final_norm", "false"),
        Key("bias", "{key: false}"),
        *([Key("dropout", plain(dropout), "hidden_dropout_prob")] if dropout else []),
        Key("feed_forward", f"{{kind: mlp, width: {inner}, activation: {act}}}", "hidden_act"),
    ]
    head = [Key("from", "video"), Key("kind", "classifier"), classes(s), Key("through", "[norm]")]
    size = {"d": (width, "hidden_size")}
    first = init(s, kind="truncated-normal")
    return Draft(size, first, {"video": video}, {"video": stream}, {"label": head})


_DECODER: Final = ("hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers")

FAMILIES: Final = (
    Family(
        "videomae",
        {
            "video_embedding.patch": ("videomae.embeddings.patch_embeddings.projection",),
            **within("video_stream.blocks.#", _LAYER, "videomae.encoder.layer.#"),
            "label_head.through.norm": ("fc_norm",),
            "label_head.output": ("classifier",),
        },
        _draft,
        base="videomae",
        reads=("video",),
        architecture="VideoMAEForVideoClassification",
        layouts={"video_embedding.patch": "frames"},
    ),
)
