"""CLIP: a tower of pictures and one of text."""

from __future__ import annotations

from typing import Final

from mmspec.families.draft import Draft, init, tokens, tower
from mmspec.families.family import Family, Inside, joined, within
from mmspec.families.settings import Key, Settings, plain
from mmspec.families.vit import picture

LAYER: Final[Inside] = {
    "attention.qkv": joined("self_attn.{}_proj"),
    "attention.output": "self_attn.out_proj",
    "attention_norm": "layer_norm1",
    "feed_forward_norm": "layer_norm2",
    "feed_forward.up": "mlp.fc1",
    "feed_forward.down": "mlp.fc2",
}


def _stream(s: Settings, name: str, size: str, heads: int) -> list[Key]:
    """Of a tower; size: the name of its width."""
    width = s.size("hidden_size")
    inner = str(s.size("intermediate_size", 4 * width))
    s.unused("projection_dim")  # of a tower alone
    norm = f"layer({plain(s.number('layer_norm_eps', 1e-5))})"
    return tower(s, name, size, norm, (inner, s.activation("hidden_act", "quick_gelu")), heads)


def _draft(s: Settings) -> Draft:
    text, image = s.part("text_config"), s.part("vision_config")
    sizes = {"d": text.size("hidden_size", 512), "v": image.size("hidden_size", 768)}
    common, vocab = s.size("projection_dim", 512), text.size("vocab_size", 49408)
    end = text.get("eos_token_id", 49407)
    end = vocab - 1 if end == 2 else end  # of old: what has the greatest id
    eps = plain(image.number("layer_norm_eps", 1e-5))
    s.only(logit_scale_init_value=2.6592)
    image.unused("initializer_range")
    pixels = [
        *picture(image, 32),
        Key("position", "learned"),
        *(Key("lead", "{cls: 1}"), Key("norm", f"layer({eps})"), Key("bias", "{patch: false}")),
    ]
    match = [
        Key("from", "[text, image]"),
        Key("kind", "contrastive"),
        Key("width", str(common), "projection_dim"),
        Key("pool", f"{{image: cls, text: marked({end})}}", "text_config.eos_token_id"),
    ]
    mask = Key("attention", "causal")
    return Draft(
        {name: (size, "hidden_size") for name, size in sizes.items()},
        init(text),
        {"image": pixels, "text": tokens(text, longest=77, position="learned")},
        {"image": _stream(image, "image", "v", 12), "text": [*_stream(text, "text", "d", 8), mask]},
        {"match": match},
    )


FAMILIES: Final = (
    Family(
        "clip",
        {
            "image_embedding.lead": ("vision_model.embeddings.class_embedding",),
            "image_embedding.position": ("vision_model.embeddings.position_embedding.weight",),
            "image_embedding.patch": ("vision_model.embeddings.patch_embedding",),
            "image_embedding.norm": ("vision_model.pre_layrnorm",),
            "image_stream.norm": ("vision_model.post_layernorm",),
            "text_embedding.table": ("text_model.embeddings.token_embedding",),
            "text_embedding.position": ("text_model.embeddings.position_embedding.weight",),
            "text_stream.norm": ("text_model.final_layer_norm",),
            "match_head.text_projection": ("text_projection",),
            "match_head.image_projection": ("visual_projection",),
            "match_head.scale": ("logit_scale",),
            **within("image_stream.blocks.#", LAYER, "vision_model.encoder.layers.#"),
            **within("text_stream.blocks.#", LAYER, "text_model.encoder.layers.#"),
        },
        reads=("image", "tokens"),
        architecture="CLIPModel",
        draft=_draft,
        layouts={"image_embedding.lead": "flat", "image_embedding.patch": "pixels"},
    ),
)
