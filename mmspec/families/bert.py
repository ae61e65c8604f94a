"""BERT with a classifier, or with the heads of its pretraining."""

from __future__ import annotations

from typing import Final

from mmspec.families.family import Family, Inside, Names, within
from mmspec.families.llama import BLOCK

_LAYER: Final[Inside] = {
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
    **within(BLOCK, _LAYER, "bert.encoder.layer.#"),
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

FAMILIES: Final = (
    Family("bert", {**_BODY, **_CLASSIFIER}, base="bert"),
    Family(
        "bert_pretraining",
        {**_BODY, **_PRETRAINING},
        base="bert",
        architecture="BertForPreTraining",
    ),
)
