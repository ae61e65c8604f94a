"""AST: a transformer of overlapping patches of a spectrogram."""

from __future__ import annotations

from typing import Final

from mmspec.families.draft import Draft, classes, init
from mmspec.families.family import Family, within
from mmspec.families.settings import Key, Settings, plain
from mmspec.families.vit import LAYER, seeing

_NAME: Final = "spectrogram"
_BASE: Final = "audio_spectrogram_transformer"


def _draft(s: Settings) -> Draft:
    kernel, stride = s.size("patch_size", 16), s.size("frequency_stride", 10)
    s.only(time_stride=stride)
    stream = seeing(s, _NAME, 1e-12)
    pixels = [
        Key("kind", "image"),
        Key(
            "size", f"[{s.size('num_mel_bins', 128)}, {s.size('max_length', 1024)}]", "num_mel_bins"
        ),
        Key("channels", "1"),
        Key("stem", f'["convolution(d, kernel={kernel}, stride={stride}, pad=0)"]', "patch_size"),
        Key("position", "learned"),
        Key("lead", "{cls: 1, distillation: 1}"),
    ]
    head = [
        Key("from", _NAME),
        Key("kind", "classifier"),
        classes(s),
        Key("pool", '"mean(cls, distillation)"'),
        Key("through", f"[norm({plain(s.number('layer_norm_eps', 1e-12))})]", "layer_norm_eps"),
    ]
    size = {"d": (s.size("hidden_size"), "hidden_size")}
    first = init(s, kind="truncated-normal")
    return Draft(size, first, {_NAME: pixels}, {_NAME: stream}, {"label": head})


FAMILIES: Final = (
    Family(
        "audio-spectrogram-transformer",
        {
            f"{_NAME}_embedding.position": (f"{_BASE}.embeddings.position_embeddings",),
            f"{_NAME}_embedding.lead": (
                f"{_BASE}.embeddings.cls_token",
                f"{_BASE}.embeddings.distillation_token",
            ),
            f"{_NAME}_embedding.stem.convolution": (
                f"{_BASE}.embeddings.patch_embeddings.projection",
            ),
            **within(f"{_NAME}_stream.blocks.#", LAYER, f"{_BASE}.encoder.layer.#"),
            f"{_NAME}_stream.norm": (f"{_BASE}.layernorm",),
            "label_head.through.norm": ("classifier.layernorm",),
            "label_head.output": ("classifier.dense",),
        },
        _draft,
        base=_BASE,
        reads=("image",),
        architecture="ASTForAudioClassification",
        layouts={f"{_NAME}_embedding.position": "batched", f"{_NAME}_embedding.lead": "batched"},
    ),
)
