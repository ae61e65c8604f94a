"""BERT with a classifier, or with the heads of its pretraining."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from mmspec.families.decoder import shape
from mmspec.families.draft import Draft, classes, init, tokens, widened
from mmspec.families.family import Family, Inside, Names, within
from mmspec.families.llama import BLOCK
from mmspec.families.settings import Key, Settings, plain

LAYER: Final[Inside] = {
    "attention.qkv": tuple(f"attention.self.{x}" for x in ("query", "key", "value")),
    "attention.output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "feed_forward.up": "intermediate.dense",
    "feed_forward.down": "output.dense",
    "feed_forward_norm": "output.LayerNorm",
}

_BODY: Final[Names] = {
    "text_embedding.table": ("bert.embeddings.word_embeddings",),
    "text_embedding.position": ("bert.embeddings.position_embeddings.weight",),
    "text_embedding.added_segment": ("bert.embeddings.token_type_embeddings",),
    "text_embedding.norm": ("bert.embeddings.LayerNorm",),
    **within(BLOCK, LAYER, "bert.encoder.layer.#"),
}
_CLASSIFIER: Final[Names] = {
    "label_head.through.linear": ("bert.pooler.dense",),
    "label_head.output": ("classifier",),
}
_PRETRAINING: Final[Names] = {
    "word_head.through.linear": ("cls.predictions.transform.dense",),
    "word_head.through.norm": ("cls.predictions.transform.LayerNorm",),
    "word_head.bias": ("cls.predictions.bias",),
    "follows_head.through.linear": ("bert.pooler.dense",),
    "follows_head.output": ("cls.seq_relationship",),
}


def _draft(s: Settings, heads: dict[str, list[Key]]) -> Draft:
    s.only(position_embedding_type="absolute", is_decoder=False, add_cross_attention=False)
    s.only(tie_word_embeddings=True)
    width, eps = s.size("hidden_size"), plain(s.number("layer_norm_eps", 1e-12))
    inner, act = widened(s, "intermediate_size", width), s.activation("hidden_act", "gelu")
    kinds = s.size("type_vocab_size", 2)
    segment = Key("add", f"{{segment: {{categories: {kinds}}}}}", "type_vocab_size")
    modality = [*tokens(s, longest=512, position="learned"), segment, Key("norm", f"layer({eps})")]
    stream = [
        Key("from", "text"),
        *shape(s),
        Key("norm", f"{{kind: layer, eps: {eps}, placement: post}}", "layer_norm_eps"),
        Key("dropout", plain(s.number("hidden_dropout_prob", 0.1)), "hidden_dropout_prob"),
        Key("feed_forward", f"{{kind: mlp, width: {inner}, activation: {act}}}", "hidden_act"),
    ]
    size = {"d": (width, "hidden_size")}
    return Draft(size, init(s), {"text": modality}, {"text": stream}, heads)


_POOLED: Final = (Key("pool", "first"), Key("through", "[linear(d), tanh]"))


def _classifier(s: Settings) -> Draft:
    head = [Key("from", "text"), Key("kind", "classifier"), classes(s), *_POOLED]
    return _draft(s, {"label": head})


def _pretraining(s: Settings) -> Draft:
    eps = plain(s.number("layer_norm_eps", 1e-12))
    act = s.activation("hidden_act", "gelu")
    word = [
        Key("from", "text"),
        Key("kind", "language-model"),
        Key("through", f"[linear(d), {act}, norm({eps})]", "hidden_act, layer_norm_eps"),
        Key("bias", "true"),
    ]
    follows = [Key("from", "text"), Key("kind", "classifier"), Key("classes", "2"), *_POOLED]
    return replace(_draft(s, {"word": word, "follows": follows}), losses={"word": "masked"})


FAMILIES: Final = (
    Family(
        "bert",
        {**_BODY, **_CLASSIFIER},
        _classifier,
        base="bert",
        architecture="ForSequenceClassification",
    ),
    Family(
        "bert_pretraining",
        {**_BODY, **_PRETRAINING},
        base="bert",
        architecture="BertForPreTraining",
        draft=_pretraining,
    ),
)
