"""What drafts of decoders have in common: one stream of tokens, and a head for the next one."""

from __future__ import annotations

from mmspec.families.draft import Draft, init
from mmspec.families.settings import Key, Settings

GATED = ("gate", "up", "down")
ATTENDING = ("query", "key", "value", "output")


def decoder(s: Settings, modality: list[Key], stream: list[Key], tied: bool, **names: str) -> Draft:
    """A decoder; names: what settings call `width` and `init`, where it is another name."""
    width, start = names.get("width", "hidden_size"), names.get("init", "initializer_range")
    is_tied = bool(s.get("tie_word_embeddings", tied))
    head = [Key("from", "text"), Key("kind", "language-model")]
    if not is_tied:
        head.append(Key("tied", "false", "tie_word_embeddings"))
    return Draft(
        {"d": (s.size(width), width)},
        init(s, start),
        {"text": modality},
        {"text": [Key("from", "text"), *stream]},
        {"next": head},
    )


def shape(
    s: Settings,
    depth: str = "num_hidden_layers",
    heads: str = "num_attention_heads",
    width: str = "hidden_size",
) -> list[Key]:
    """Depth, width and heads of a stream."""
    return [
        Key("depth", str(s.size(depth)), depth),
        Key("width", "d", width),
        Key("heads", str(s.size(heads)), heads),
    ]


def grouped(s: Settings, kv_heads: int | None = None, head_width: int | None = None) -> list[Key]:
    """The shape of a stream whose heads share keys, or have a width of their own.

    kv_heads, head_width: where settings do not say; None: as many as heads, and width / heads.
    """
    heads, width = s.size("num_attention_heads"), s.size("hidden_size")
    keys = s.size("num_key_value_heads", kv_heads or heads)
    head = s.size("head_dim", head_width or max(width // heads, 1))
    return [
        *shape(s),
        *([Key("kv_heads", str(keys), "num_key_value_heads")] if keys != heads else []),
        *([Key("head_width", str(head), "head_dim")] if head * heads != width else []),
    ]


def window(size: int) -> str:
    """A causal mask in which a token sees so many, itself among them."""
    return f"causal & window(before={size - 1})"
