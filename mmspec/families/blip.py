"""BLIP: a tower of pictures, and a text whose every layer reads them."""

from __future__ import annotations

from typing import Final

from mmspec.families.bert import LAYER
from mmspec.families.draft import Draft, init, tokens, tower, widened
from mmspec.families.family import Family, Inside, within
from mmspec.families.llama import BLOCK
from mmspec.families.settings import Key, Settings, plain
from mmspec.families.vit import picture

_SEEN: Final[Inside] = {
    "attention.qkv": "self_attn.qkv",
    "attention.output": "self_attn.projection",
    "attention_norm": "layer_norm1",
    "feed_forward_norm": "layer_norm2",
    "feed_forward.up": "mlp.fc1",
    "feed_forward.down": "mlp.fc2",
}
_READ: Final[Inside] = {
    **LAYER,
    "cross.query": "crossattention.self.query",
    "cross.key_value": ("crossattention.self.key", "crossattention.self.value"),
    "cross.output": "crossattention.output.dense",
    "cross_norm": "crossattention.output.LayerNorm",
}
_BERT: Final = "text_decoder.bert"
_WORDS: Final = "text_decoder.cls.predictions"


def _stream(s: Settings, name: str, size: str, norm: str) -> list[Key]:
    inner = widened(s, "intermediate_size", s.size("hidden_size"))
    return tower(s, name, size, norm, (inner, s.activation("hidden_act", "gelu")))


def _draft(s: Settings) -> Draft:
    text, image = s.part("text_config"), s.part("vision_config")
    s.unused("projection_dim", "image_text_hidden_size", "logit_scale_init_value")
    s.unused("label_smoothing", "tie_word_embeddings")  # of a loss; words are tied by the text's
    text.only(tie_word_embeddings=True, is_decoder=True)
    text.unused("encoder_hidden_size", "projection_dim", "label_smoothing")
    image.unused("initializer_range", "projection_dim")
    eps, act = plain(text.number("layer_norm_eps", 1e-12)), text.activation("hidden_act", "gelu")
    dropout = text.number("hidden_dropout_prob", 0.0)
    sizes = {"d": (text.size("hidden_size", 768), "hidden_size")}
    sizes["v"] = image.size("hidden_size", 768), "hidden_size"
    pixels = [*picture(image), Key("position", "learned"), Key("lead", "{cls: 1}")]
    words = [*tokens(text, longest=512, position="learned"), Key("norm", f"layer({eps})")]
    seen = f"layer({plain(image.number('layer_norm_eps', 1e-5))})"
    read = [
        *_stream(text, "text", "d", f"{{kind: layer, eps: {eps}, placement: post}}"),
        *([Key("dropout", plain(dropout), "hidden_dropout_prob")] if dropout else []),
        Key("attention", "causal"),
        Key("block", "[attention, {cross: image}, feed_forward]"),
    ]
    word = [
        Key("from", "text"),
        Key("kind", "language-model"),
        Key("through", f"[linear(d), {act}, norm({eps})]", "hidden_act, layer_norm_eps"),
        Key("bias", "true"),
    ]
    modalities = {"image": pixels, "text": words}
    streams = {"image": _stream(image, "image", "v", seen), "text": read}
    return Draft(sizes, init(text), modalities, streams, {"next": word})


FAMILIES: Final = (
    Family(
        "blip",
        {
            "image_embedding.lead": ("vision_model.embeddings.class_embedding",),
            "image_embedding.position": ("vision_model.embeddings.position_embedding",),
            "image_embedding.patch": ("vision_model.embeddings.patch_embedding",),
            **within("image_stream.blocks.#", _SEEN, "vision_model.encoder.layers.#"),
            "image_stream.norm": ("vision_model.post_layernorm",),
            "text_embedding.table": (f"{_BERT}.embeddings.word_embeddings",),
            "text_embedding.position": (f"{_BERT}.embeddings.position_embeddings.weight",),
            "text_embedding.norm": (f"{_BERT}.embeddings.LayerNorm",),
            **within(BLOCK, _READ, f"{_BERT}.encoder.layer.#"),
            "next_head.through.linear": (f"{_WORDS}.transform.dense",),
            "next_head.through.norm": (f"{_WORDS}.transform.LayerNorm",),
            "next_head.bias": (f"{_WORDS}.bias",),
        },
        _draft,
        reads=("image", "tokens"),
        architecture="BlipForConditionalGeneration",
        layouts={
            "image_embedding.position": "batched",
            "image_embedding.lead": "batched",
            "image_embedding.patch": "pixels",
        },
    ),
)
