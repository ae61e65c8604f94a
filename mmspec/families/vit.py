"""Transformers of patches: ViT, DeiT, I-JEPA, ViViT."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from mmspec.families.decoder import shape
from mmspec.families.draft import Draft, classes, init, widened
from mmspec.families.family import Family, Inside, prefixed, within
from mmspec.families.settings import Key, Settings, plain

_LAYER: Final[Inside] = {
    "attention.qkv": tuple(f"attention.attention.{x}" for x in ("query", "key", "value")),
    "attention.output": "attention.output.dense",
    "attention_norm": "layernorm_before",
    "feed_forward_norm": "layernorm_after",
    "feed_forward.up": "intermediate.dense",
    "feed_forward.down": "output.dense",
}


def _draft(modality: str, lead: Mapping[str, str]) -> Callable[[Settings], Draft]:
    """The draft of a family; lead: its tokens in front of the patches, by their names here."""

    def draft(s: Settings) -> Draft:
        width, eps = s.size("hidden_size"), 1e-6 if modality == "video" else 1e-12
        act = s.activation("hidden_act", "gelu_fast" if modality == "video" else "gelu")
        inner = widened(s, "intermediate_size", width)
        dropout = s.number("hidden_dropout_prob", 0.0)
        first = ", ".join(f"{name}: 1" for name in lead)
        pixels = [
            *(_clip(s) if modality == "video" else picture(s)),
            Key("position", "learned"),
            *([Key("lead", f"{{{first}}}")] if lead else []),
        ]
        stream = [
            Key("from", modality),
            *shape(s),
            Key("norm", f"layer({plain(s.number('layer_norm_eps', eps))})", "layer_norm_eps"),
            *([Key("bias", _UNBIASED, "qkv_bias")] if not s.get("qkv_bias", True) else []),
            *([Key("dropout", plain(dropout), "hidden_dropout_prob")] if dropout else []),
            Key("feed_forward", f"{{kind: mlp, width: {inner}, activation: {act}}}", "hidden_act"),
        ]
        head = [Key("from", modality), Key("kind", "classifier"), classes(s)]
        return Draft(
            {"d": (width, "hidden_size")},
            init(s, kind="truncated-normal"),
            {modality: pixels},
            {modality: stream},
            {"label": [*head, *([Key("pool", "cls")] if lead else [])]},
        )

    return draft


_UNBIASED: Final = "{query: false, key: false, value: false}"


def picture(s: Settings, side: int = 16) -> list[Key]:
    """A modality of pictures; side: of a patch, where settings do not say."""
    return [
        Key("kind", "image"),
        Key("size", _sides(s, "image_size", 224), "image_size"),
        Key("channels", str(s.size("num_channels", 3)), "num_channels"),
        Key("patch", str(_side(s, "patch_size", side)), "patch_size"),
    ]


def _clip(s: Settings) -> list[Key]:
    s.unused("patch_size")
    frames, *sides = s.get("tubelet_size", (2, 16, 16))
    if len({*sides}) != 1:
        s.refuse("tubelet_size", [frames, *sides], "patches are square")
    return [
        Key("kind", "video"),
        Key("size", _sides(s, "image_size", 224), "image_size"),
        Key("channels", str(s.size("num_channels", 3)), "num_channels"),
        Key("patch", str(sides[0]), "tubelet_size"),
        Key("tubelet", str(frames), "tubelet_size"),
        Key("rate", "25 Hz", "frames a second: no setting says it"),
        Key("length", f"{{max: {s.size('num_frames', 32)}}}", "num_frames"),
    ]


def _sides(s: Settings, name: str, default: int) -> str:
    """Height and width."""
    found = s.get(name, default)
    height, width = found if isinstance(found, list | tuple) else (found, found)
    return f"[{height}, {width}]"


def _side(s: Settings, name: str, default: int) -> int:
    """Of a square."""
    found = s.get(name, default)
    if isinstance(found, list | tuple):
        if len({*found}) != 1:
            s.refuse(name, found, "patches are square")
        return int(found[0])
    return s.size(name, default)


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
        architecture=f"For{modality.title()}Classification",
        reads=(modality,),
        draft=_draft(modality, {name.removesuffix("_token"): name for name in lead}),
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
