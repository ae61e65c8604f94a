"""GIT: a text behind the patches of a picture, which a tower of its own has seen."""

from __future__ import annotations

from typing import Final

from mmspec.families.bert import LAYER
from mmspec.families.clip import LAYER as SEEN
from mmspec.families.decoder import shape
from mmspec.families.draft import Draft, init, tokens, tower, widened
from mmspec.families.family import Family, within
from mmspec.families.llama import BLOCK
from mmspec.families.settings import Key, Settings, plain
from mmspec.families.vit import picture

_SEEN: Final = "git.image_encoder.vision_model"
_PAIRS: Final = [
    f"{q} -> {k}: full" for q in ("image.cls", "image") for k in ("image.cls", "image")
]
_MASK: Final = (*_PAIRS, "text -> image.cls: full", "text -> image: full", "text -> text: causal")


def _draft(s: Settings) -> Draft:
    image = s.part("vision_config")
    s.only(num_image_with_embedding=None, tie_word_embeddings=False)
    image.unused("initializer_range", "projection_dim")
    eps, act = plain(s.number("layer_norm_eps", 1e-12)), s.activation("hidden_act", "gelu")
    seen = plain(image.number("layer_norm_eps", 1e-5))
    sizes = {"d": (s.size("hidden_size"), "hidden_size")}
    sizes["v"] = image.size("hidden_size", 768), "vision hidden_size"
    pixels = [
        *picture(image),
        *(Key("position", "learned"), Key("lead", "{cls: 1}"), Key("norm", f"layer({seen})")),
        Key("bias", "{patch: false}"),
    ]
    wide = widened(image, "intermediate_size", sizes["v"][0]).replace("d", "v")
    quick = image.activation("hidden_act", "quick_gelu")
    seeing = tower(image, "image", "v", f"layer({seen})", (wide, quick))
    words = [*tokens(s, longest=1024, position="learned"), Key("norm", f"layer({eps})")]
    inner, dropout = widened(s, "intermediate_size", sizes["d"][0]), s.number(_DROPOUT, 0.1)
    text = [
        Key("from", f"{{of: [image, text], through: {{image: [linear(d), norm({seen})]}}}}"),
        *shape(s),
        Key("attention", f"{{{', '.join(_MASK)}}}"),
        Key("norm", f"{{kind: layer, eps: {eps}, placement: post}}", "layer_norm_eps"),
        *([Key("dropout", plain(dropout), _DROPOUT)] if dropout else []),
        Key("feed_forward", f"{{kind: mlp, width: {inner}, activation: {act}}}", "hidden_act"),
    ]
    head = [Key("from", "text"), Key("kind", "language-model")]
    head += [Key("tied", "false"), Key("bias", "true")]
    modalities, streams = {"image": pixels, "text": words}, {"image": seeing, "text": text}
    return Draft(sizes, init(s), modalities, streams, {"next": head})


_DROPOUT: Final = "hidden_dropout_prob"

FAMILIES: Final = (
    Family(
        "git",
        {
            "image_embedding.lead": (f"{_SEEN}.embeddings.class_embedding",),
            "image_embedding.position": (f"{_SEEN}.embeddings.position_embedding.weight",),
            "image_embedding.patch": (f"{_SEEN}.embeddings.patch_embedding",),
            "image_embedding.norm": (f"{_SEEN}.pre_layrnorm",),
            **within("image_stream.blocks.#", SEEN, f"{_SEEN}.encoder.layers.#"),
            "image_stream.norm": (f"{_SEEN}.post_layernorm",),
            "image_to_text.linear": ("git.visual_projection.visual_projection.0",),
            "image_to_text.norm": ("git.visual_projection.visual_projection.1",),
            "text_embedding.table": ("git.embeddings.word_embeddings",),
            "text_embedding.position": ("git.embeddings.position_embeddings.weight",),
            "text_embedding.norm": ("git.embeddings.LayerNorm",),
            **within(BLOCK, LAYER, "git.encoder.layer.#"),
            "next_head.output": ("output",),
        },
        _draft,
        base="git",
        reads=("image", "tokens"),
        layouts={"image_embedding.lead": "flat", "image_embedding.patch": "pixels"},
    ),
)
