"""CLIP: a tower of pictures and one of text."""

from __future__ import annotations

from typing import Final

from mmspec.families.family import Family, Inside, joined, within

_LAYER: Final[Inside] = {
    "attention.qkv": joined("self_attn.{}_proj"),
    "attention.output": "self_attn.out_proj",
    "attention_norm": "layer_norm1",
    "feed_forward_norm": "layer_norm2",
    "feed_forward.up": "mlp.fc1",
    "feed_forward.down": "mlp.fc2",
}

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
            **within("image_stream.blocks.#", _LAYER, "vision_model.encoder.layers.#"),
            **within("text_stream.blocks.#", _LAYER, "text_model.encoder.layers.#"),
        },
        reads=("image", "tokens"),
        layouts={"image_embedding.lead": "flat", "image_embedding.patch": "pixels"},
    ),
)
