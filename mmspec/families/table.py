"""Every family, by its name: mostly its `model_type` in transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mmspec.families import (
    bark,
    bert,
    blip,
    clip,
    fused,
    gemma,
    git,
    gpt2,
    llama,
    olmo2,
    opt,
    pix2struct,
    seq2seq,
    spectrogram,
    speech,
    starcoder2,
    videomae,
    visual_bert,
    vit,
    whisper,
)
from mmspec.families.family import Family

_FILES: Final[tuple[Any, ...]] = (
    llama,
    gemma,
    olmo2,
    starcoder2,
    gpt2,
    opt,
    fused,
    bert,
    vit,
    spectrogram,
    videomae,
    clip,
    blip,
    git,
    seq2seq,
    whisper,
    speech,
    bark,
    visual_bert,
    pix2struct,
)
FAMILIES: Final[dict[str, Family]] = {
    family.type: family for file in _FILES for family in file.FAMILIES
}


def named(settings: Mapping[str, Any]) -> str | None:
    """The family that a `config.json` names, known or not; None where it names none."""
    classes = settings.get("architectures")
    for family in FAMILIES.values():
        if isinstance(classes, list) and family.architecture in classes:
            return family.type
    kind = settings.get("model_type")
    return None if kind is None else str(kind)
