"""Keyword arguments that say what torch, or attention by tiles, does anyway."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from mmspec.compiler.specialise.evaluate import NotStatic, dotted, evaluate
from mmspec.compiler.specialise.nodes import with_fields
from mmspec.compiler.specialise.origin import origin_of

_SDPA: dict[str, object] = {
    "attn_mask": None,
    "dropout_p": 0.0,
    "is_causal": False,
    "scale": None,
    "enable_gqa": False,
}
_BY_TILES: dict[str, object] = {
    "spans": (None, None),
    "relative": (None, None),
    "scale": None,
    "sink_h": None,
}
_CONVOLUTION: dict[str, object] = {
    "stride": 1,
    "padding": 0,
    "dilation": 1,
    "groups": 1,
    "bias": True,
}
DEFAULTS: dict[str, dict[str, object]] = {
    "nn.Linear": {"bias": True},
    "nn.Conv1d": _CONVOLUTION,
    "nn.Conv2d": _CONVOLUTION,
    "F.avg_pool2d": {"padding": 0, "count_include_pad": True},
    "F.max_pool2d": {"padding": 0},
    "nn.LayerNorm": {"eps": 1e-5, "elementwise_affine": True, "bias": True},
    "nn.RMSNorm": {"eps": None, "elementwise_affine": True},
    "nn.Embedding": {"padding_idx": None, "max_norm": None, "sparse": False},
    "nn.Dropout": {"p": 0.5, "inplace": False},
    "nn.GELU": {"approximate": "none"},
    "F.gelu": {"approximate": "none"},
    "F.dropout": {"p": 0.5, "training": True},
    "F.cross_entropy": {"label_smoothing": 0.0, "reduction": "mean", "ignore_index": -100},
    "F.scaled_dot_product_attention": _SDPA,
    "scored_attention": _BY_TILES,
    "sink_attention": {"scale": None},
}


def drop_defaults(node: ast.Call, of_classes: bool = True) -> ast.Call:
    """The call without keyword arguments that say what torch would do anyway.

    Those that come from constants of a class stay where not `of_classes`.
    """
    known = DEFAULTS.get(dotted(node.func), {})
    kept = [
        item
        for item in node.keywords
        if not _is_default(item, known) or not (of_classes or origin_of(item.value) is None)
    ]
    return node if len(kept) == len(node.keywords) else with_fields(node, {"keywords": kept})


def _is_default(item: ast.keyword, known: Mapping[str, object]) -> bool:
    try:
        value = evaluate(item.value, {})
    except NotStatic:
        return False
    name = item.arg or "**"
    return name in known and repr(known[name]) == repr(value)
