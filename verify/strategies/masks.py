"""Mask expressions, as text, and attention of segments and heads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise, product
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy


@dataclass(frozen=True, slots=True)
class Held:
    """A segment, and what the tokens in it have; segments of one `unit` compare their indices."""

    name: str
    unit: str
    grid: bool = False
    frames: bool = False
    timed: bool = False
    packs: bool = False


Sides = tuple[Held, ...]


def held(name: str, body: dict[str, Any]) -> Held:
    """The segment of a modality's tokens."""
    found = _held(name, body)
    return replace(found, packs=False) if "lead" in body else found


def leads(name: str, body: dict[str, Any]) -> Sides:
    """The segments of the learned tokens that stand before those of a modality."""
    return tuple(Held(f"{name}.{lead}", f"{name}.{lead}") for lead in body.get("lead", ()))


def _held(name: str, body: dict[str, Any]) -> Held:
    kind = body["kind"]
    if kind == "image":
        return Held(name, f"rows of {body['size'][1] // body.get('patch', 4)}", grid=True)
    if kind == "video":
        size = " x ".join(str(side // body["patch"]) for side in body["size"])
        return Held(name, f"frames of {size}", grid=True, frames=True, timed=True)
    if kind == "tokens":
        return Held(name, kind, packs=True)
    if kind == "table":
        return Held(name, name)
    period = body.get("patch", 4 if "stem" in body else 1) / Fraction(
        body["rate"].removesuffix(" Hz")
    )
    return Held(name, f"frames of {period} s", timed=True, packs="stem" not in body)


_SIZES = st.integers(1, 6)
_FEW = st.integers(0, 5)
_ANYWHERE = (
    st.just("full"),
    _SIZES.map("global({})".format),
    st.just("none"),
    _SIZES.map("prefix({})".format),
    st.builds("random({}, seed={})".format, st.integers(1, 2), _FEW),
)
_IN_ORDER = (
    st.just("causal"),
    st.builds("window(before={}, after={})".format, _FEW, _FEW),
    st.builds("dilated(step={}, reach={})".format, st.integers(1, 4), st.integers(1, 9)),
    _SIZES.map("strided({})".format),
    _SIZES.map("block({})".format),
)
_SHIFTED = st.builds("shifted_window(size={}, shift={})".format, st.integers(1, 4), _FEW)
_ON_GRID = (
    st.integers(1, 2).map("window2d({})".format),
    st.sampled_from(("axial(row)", "axial(column)")),
    _SHIFTED,
)
_IN_VIDEO = (
    st.integers(1, 2).map("window3d({})".format),
    st.sampled_from(("frame", "axial(frame)")),
)
_IN_TIME = (st.sampled_from(("40 ms", "20 ms", "0.1 s", "1/3 s")).map("within({})".format),)
_PACKED = (st.just("document"),)
_LEARNABLE = (
    "causal",
    "causal & ({0})",
    "causal | prefix({1})",
    "{0}",
    "causal & ({0}) | prefix({1})",
)
"""What tokens may see of each other, mostly such that next ones can be predicted."""


def _leaves(query: Held, key: Held) -> tuple[SearchStrategy[str], ...]:
    """The patterns that mean something between two segments."""
    found = list(_ANYWHERE)
    if query.unit == key.unit:
        found += _IN_ORDER
        found += () if query.grid else (_SHIFTED,)
    found += _ON_GRID if query.grid and key.grid else ()
    found += _IN_VIDEO if query.frames and key.frames else ()
    found += _IN_TIME if query.timed and key.timed else ()
    found += _PACKED if query.packs and key.packs else ()
    return tuple(found)


def _joined(inner: SearchStrategy[str]) -> SearchStrategy[str]:
    return st.one_of(
        st.builds("{} | {}".format, inner, inner),
        st.builds("({}) & ({})".format, inner, inner),
        st.builds("~({})".format, inner),
    )


@lru_cache(maxsize=256)
def expressions(pairs: frozenset[tuple[Held, Held]]) -> SearchStrategy[str]:
    """A mask that means something between each of these pairs of a query and a key segment."""
    first, *rest = (_leaves(*pair) for pair in sorted(pairs, key=str))
    common = [leaf for leaf in first if all(leaf in leaves for leaves in rest)]
    return st.recursive(st.one_of(common), _joined, max_leaves=4)


@st.composite
def _whole(draw: st.DrawFn, queries: Sides, keys: Sides) -> str | dict[str, str]:
    """One mask, or masks by pair, of these query and key segments."""
    pairs = list(product(queries, keys))
    if draw(st.booleans()):
        chosen = draw(st.lists(st.sampled_from(pairs), min_size=1, unique=True))
        return {f"{q.name} -> {k.name}": draw(expressions(frozenset({(q, k)}))) for q, k in chosen}
    if queries == keys and len(queries) > 1 and draw(st.booleans()):
        return "causal"
    mask = draw(expressions(frozenset(pairs)))
    if queries == keys and [side.unit for side in queries] == ["tokens"]:
        mask = draw(st.sampled_from(_LEARNABLE)).format(mask, draw(_SIZES))
    if all(side.packs for side in (*queries, *keys)) and draw(st.booleans()):
        return f"document & ({mask})"
    return mask


@st.composite
def attention(
    draw: st.DrawFn, queries: Sides, keys: Sides, heads: int, kv_heads: int
) -> str | dict[str, str] | list[dict[str, Any]]:
    """Masks of these query and key segments, seldom by groups of heads."""
    shared = heads // kv_heads
    if kv_heads == 1 or not draw(st.sampled_from((False, False, False, True))):
        return draw(_whole(queries, keys))
    ends = draw(st.sets(st.integers(1, kv_heads - 1), min_size=1, max_size=2))
    edges = [0, *sorted(ends), kv_heads]
    counts = [(end - start) * shared for start, end in pairwise(edges)]
    return [{"heads": count, "mask": draw(_whole(queries, keys))} for count in counts]
