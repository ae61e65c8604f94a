"""CLIP: a tower of pictures and one of text; Chinese CLIP, whose text goes through a BERT."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mmspec.families.bert import LAYER as BERT
from mmspec.families.draft import Draft, init, tokens, tower
from mmspec.families.family import Family, Inside, Names, joined, within
from mmspec.families.llama import BLOCK
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


def _pixels(image: Settings) -> list[Key]:
    """The modality of pictures."""
    eps = plain(image.number("layer_norm_eps", 1e-5))
    image.unused("initializer_range")
    return [
        *picture(image, 32),
        Key("position", "learned"),
        *(Key("lead", "{cls: 1}"), Key("norm", f"layer({eps})"), Key("bias", "{patch: false}")),
    ]


def _match(s: Settings, text: str, source: str = "") -> dict[str, list[Key]]:
    """The head; text: how the tokens of a text become one."""
    s.only(logit_scale_init_value=2.6592)
    match = [
        Key("from", "[text, image]"),
        Key("kind", "contrastive"),
        Key("width", str(s.size("projection_dim", 512)), "projection_dim"),
        Key("pool", f"{{image: cls, text: {text}}}", source),
    ]
    return {"match": match}


def _sizes(text: Settings, image: Settings, width: int) -> dict[str, tuple[int, str]]:
    sizes = {"d": text.size("hidden_size", width), "v": image.size("hidden_size", 768)}
    return {name: (size, "hidden_size") for name, size in sizes.items()}


def _draft(s: Settings) -> Draft:
    text, image = s.part("text_config"), s.part("vision_config")
    vocab, end = text.size("vocab_size", 49408), text.get("eos_token_id", 49407)
    end = vocab - 1 if end == 2 else end  # of old: what has the greatest id
    mask = Key("attention", "causal")
    return Draft(
        _sizes(text, image, 512),
        init(text),
        {"image": _pixels(image), "text": tokens(text, longest=77, position="learned")},
        {"image": _stream(image, "image", "v", 12), "text": [*_stream(text, "text", "d", 8), mask]},
        _match(s, f"marked({end})", "text_config.eos_token_id"),
    )


def _chinese(s: Settings) -> Draft:
    text, image = s.part("text_config"), s.part("vision_config")
    eps, kinds = plain(text.number("layer_norm_eps", 1e-12)), text.size("type_vocab_size", 2)
    words = [
        *tokens(text, longest=512, position="learned"),
        Key("add", f"{{segment: {{categories: {kinds}}}}}", "type_vocab_size"),
        Key("norm", f"layer({eps})"),
    ]
    hidden = str(text.size("intermediate_size", 3072)), text.activation("hidden_act", "gelu")
    dropout = text.number("hidden_dropout_prob", 0.1)
    reading = [
        *tower(text, "text", "d", f"{{kind: layer, eps: {eps}, placement: post}}", hidden),
        *([Key("dropout", plain(dropout), "hidden_dropout_prob")] if dropout else []),
    ]
    s.unused("initializer_range")
    return Draft(
        _sizes(text, image, 768),
        init(text),
        {"image": _pixels(image), "text": words},
        {"image": _stream(image, "image", "v", 12), "text": reading},
        _match(s, "first"),
    )


_SEEN: Final[Names] = {
    "image_embedding.lead": ("vision_model.embeddings.class_embedding",),
    "image_embedding.position": ("vision_model.embeddings.position_embedding.weight",),
    "image_embedding.patch": ("vision_model.embeddings.patch_embedding",),
    "image_embedding.norm": ("vision_model.pre_layrnorm",),
    "image_stream.norm": ("vision_model.post_layernorm",),
    "match_head.text_projection": ("text_projection",),
    "match_head.image_projection": ("visual_projection",),
    "match_head.scale": ("logit_scale",),
    **within("image_stream.blocks.#", LAYER, "vision_model.encoder.layers.#"),
}
_WORDS: Final = "text_model.embeddings"


def _family(kind: str, names: Names, draft: Callable[[Settings], Draft], model: str) -> Family:
    return Family(
        kind,
        {**_SEEN, **names},
        reads=("image", "tokens"),
        architecture=model,
        draft=draft,
        layouts={"image_embedding.lead": "flat", "image_embedding.patch": "pixels"},
    )


FAMILIES: Final = (
    _family(
        "clip",
        {
            "text_embedding.table": (f"{_WORDS}.token_embedding",),
            "text_embedding.position": (f"{_WORDS}.position_embedding.weight",),
            "text_stream.norm": ("text_model.final_layer_norm",),
            **within(BLOCK, LAYER, "text_model.encoder.layers.#"),
        },
        _draft,
        "CLIPModel",
    ),
    _family(
        "chinese_clip",
        {
            "text_embedding.table": (f"{_WORDS}.word_embeddings",),
            "text_embedding.position": (f"{_WORDS}.position_embeddings.weight",),
            "text_embedding.added_segment": (f"{_WORDS}.token_type_embeddings",),
            "text_embedding.norm": (f"{_WORDS}.LayerNorm",),
            **within(BLOCK, BERT, "text_model.encoder.layer.#"),
        },
        _chinese,
        "ChineseCLIPModel",
    ),
)
