"""Transformers of patches: ViT, DeiT, ViT-MSN, I-JEPA, ViViT."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from mmspec.families.decoder import shape
from mmspec.families.draft import Draft, classes, init, widened
from mmspec.families.family import Family, Inside, prefixed, within
from mmspec.families.settings import Key, Settings, plain

LAYER: Final[Inside] = {
    "attention.qkv": tuple(f"attention.attention.{x}" for x in ("query", "key", "value")),
    "attention.output": "attention.output.dense",
    "attention_norm": "layernorm_before",
    "feed_forward_norm": "layernorm_after",
    "feed_forward.up": "intermediate.dense",
    "feed_forward.down": "output.dense",
}


def _draft(modality: str, lead: Mapping[str, str], eps: float) -> Callable[[Settings], Draft]:
    """The draft of a family; lead: its tokens in front of the patches, by their names here."""

    def draft(s: Settings) -> Draft:
        act = "gelu_fast" if modality == "video" else "gelu"
        first = ", ".join(f"{name}: 1" for name in lead)
        pixels = [
            *(_clip(s) if modality == "video" else picture(s)),
            Key("position", "learned"),
            *([Key("lead", f"{{{first}}}")] if lead else []),
        ]
        head = [Key("from", modality), Key("kind", "classifier"), classes(s)]
        return Draft(
            {"d": (s.size("hidden_size"), "hidden_size")},
            init(s, kind="truncated-normal"),
            {modality: pixels},
            {modality: seeing(s, modality, eps, act)},
            {"label": [*head, *([Key("pool", "cls")] if lead else [])]},
        )

    return draft


def seeing(s: Settings, modality: str, eps: float, act: str = "gelu") -> list[Key]:
    """A stream of patches; eps, act: where settings do not say them."""
    inner = widened(s, "intermediate_size", s.size("hidden_size"))
    act, dropout = s.activation("hidden_act", act), s.number("hidden_dropout_prob", 0.0)
    return [
        Key("from", modality),
        *shape(s),
        Key("norm", f"layer({plain(s.number('layer_norm_eps', eps))})", "layer_norm_eps"),
        *([Key("bias", _UNBIASED, "qkv_bias")] if not s.get("qkv_bias", True) else []),
        *([Key("dropout", plain(dropout), "hidden_dropout_prob")] if dropout else []),
        Key("feed_forward", f"{{kind: mlp, width: {inner}, activation: {act}}}", "hidden_act"),
    ]


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


def _family(
    kind: str,
    modality: str = "image",
    lead: tuple[str, ...] = (),
    eps: float = 1e-12,
    base: str | None = None,
) -> Family:
    """A family; lead: its tokens in front of the patches; base: what its files call it."""
    embedding, stream = f"{modality}_embedding", f"{modality}_stream"
    base, layers = base or kind, "encoder.layer.#" if base else f"{kind}.encoder.layer.#"
    there = f"{base}.embeddings"
    first = {f"{embedding}.lead": prefixed(there, lead)} if lead else {}
    return Family(
        kind,
        {
            f"{embedding}.position": (f"{there}.position_embeddings",),
            f"{embedding}.patch": (f"{there}.patch_embeddings.projection",),
            **first,
            **within(f"{stream}.blocks.#", LAYER, layers),
            f"{stream}.norm": (f"{base}.layernorm",),
            "label_head.output": ("classifier",),
        },
        base=base,
        architecture=f"For{modality.title()}Classification",
        reads=(modality,),
        draft=_draft(modality, {name.removesuffix("_token"): name for name in lead}, eps),
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
    _family("vit_msn", lead=("cls_token",), eps=1e-6, base="vit"),  # layers without a name before
    _family("vivit", "video", ("cls_token",), eps=1e-6),
)
