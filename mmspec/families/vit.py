"""Transformers of patches: ViT, DeiT, I-JEPA, ViViT."""

from __future__ import annotations

from typing import Final

from mmspec.families.family import Family, Inside, prefixed, within

_LAYER: Final[Inside] = {
    "attention.qkv": tuple(f"attention.attention.{x}" for x in ("query", "key", "value")),
    "attention.output": "attention.output.dense",
    "attention_norm": "layernorm_before",
    "feed_forward_norm": "layernorm_after",
    "feed_forward.up": "intermediate.dense",
    "feed_forward.down": "output.dense",
}


def _family(kind: str, modality: str = "image", lead: tuple[str, ...] = ()) -> Family:
    """A family; lead: its tokens in front of the patches."""
    embedding, stream = f"{modality}_embedding", f"{modality}_stream"
    there = f"{kind}.embeddings"
    first = {f"{embedding}.lead": prefixed(there, lead)} if lead else {}
    return Family(
        kind,
        {
            f"{embedding}.position": (f"{there}.position_embeddings",),
            f"{embedding}.patch": (f"{there}.patch_embeddings.projection",),
            **first,
            **within(f"{stream}.blocks.#", _LAYER, f"{kind}.encoder.layer.#"),
            f"{stream}.norm": (f"{kind}.layernorm",),
            "label_head.output": ("classifier",),
        },
        base=kind,
        reads=(modality,),
        layouts={
            f"{embedding}.position": "batched",
            f"{embedding}.lead": "batched",
            f"{embedding}.patch": "frames" if modality == "video" else "pixels",
        },
    )


FAMILIES: Final = (
    _family("vit", lead=("cls_token",)),
    _family("deit", lead=("cls_token", "distillation_token")),
    _family("ijepa"),
    _family("vivit", "video", ("cls_token",)),
)
