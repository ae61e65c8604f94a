"""VisualBERT: words and regions of a picture in one BERT."""

from __future__ import annotations

from typing import Final

from mmspec.families.bert import LAYER
from mmspec.families.decoder import shape
from mmspec.families.draft import Draft, classes, init, tokens, widened
from mmspec.families.family import Family, within
from mmspec.families.settings import Key, Settings, plain

_THERE: Final = "visual_bert.embeddings"


def _draft(s: Settings) -> Draft:
    s.only(bypass_transformer=False)
    s.unused("special_visual_initialize", "tie_word_embeddings")
    width, eps = s.size("hidden_size"), plain(s.number("layer_norm_eps", 1e-12))
    inner, act = widened(s, "intermediate_size", width), s.activation("hidden_act", "gelu")
    kinds, most = s.size("type_vocab_size", 2), s.size("max_position_embeddings", 512)
    dropout = s.number("hidden_dropout_prob", 0.1)
    segment = f"segment: {{categories: {kinds}}}"
    words = [
        *tokens(s, longest=512, position="learned"),
        Key("add", f"{{{segment}}}", "type_vocab_size"),
    ]
    regions = [
        Key("kind", "series"),
        Key("features", str(s.size("visual_embedding_dim", 512)), "visual_embedding_dim"),
        Key("rate", "1 Hz", "of no meaning here: regions have no time"),
        Key("length", f"{{max: {most}}}", "max_position_embeddings"),
        Key("add", f"{{{segment}, place: {{categories: {most}}}}}", "type_vocab_size"),
    ]
    both = [
        Key("from", "[text, regions]"),
        *(Key("depth", "0"), *shape(s)[1:]),
        Key("final_norm", f"layer({eps})", "layer_norm_eps"),
    ]
    stream = [
        Key("from", "both"),
        *shape(s),
        Key("norm", f"{{kind: layer, eps: {eps}, placement: post}}", "layer_norm_eps"),
        *([Key("dropout", plain(dropout), "hidden_dropout_prob")] if dropout else []),
        Key("feed_forward", f"{{kind: mlp, width: {inner}, activation: {act}}}", "hidden_act"),
    ]
    head = [Key("from", "joint"), Key("kind", "classifier"), classes(s)]
    head += [Key("pool", "first"), Key("through", "[linear(d), tanh]")]
    modalities, streams = {"text": words, "regions": regions}, {"both": both, "joint": stream}
    size = {"d": (width, "hidden_size")}
    return Draft(size, init(s), modalities, streams, {"label": head})


FAMILIES: Final = (
    Family(
        "visual_bert",
        {
            "text_embedding.table": (f"{_THERE}.word_embeddings",),
            "text_embedding.position": (f"{_THERE}.position_embeddings.weight",),
            "text_embedding.added_segment": (f"{_THERE}.token_type_embeddings",),
            "regions_embedding.frames": (f"{_THERE}.visual_projection",),
            "regions_embedding.added_segment": (f"{_THERE}.visual_token_type_embeddings",),
            "regions_embedding.added_place": (f"{_THERE}.visual_position_embeddings",),
            "both_stream.norm": (f"{_THERE}.LayerNorm",),
            **within("joint_stream.blocks.#", LAYER, "visual_bert.encoder.layer.#"),
            "label_head.through.linear": ("visual_bert.pooler.dense",),
            "label_head.output": ("cls",),
        },
        _draft,
        base="visual_bert",
        reads=("tokens", "series"),
        architecture="VisualBertForVisualReasoning",
    ),
)
