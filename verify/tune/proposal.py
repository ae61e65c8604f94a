"""The smallest changes of a mask after which tiles are seen all or not at all, or save work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from typing import Literal

from mmspec.compiler.relations.limit import TooHardError, limited
from mmspec.compiler.relations.meaning.apart import looks_back
from mmspec.compiler.relations.meaning.definitions import is_closed
from mmspec.compiler.relations.meaning.relation import relation
from mmspec.expressions.mask import Mask, Pattern, complement, meet, patterns
from mmspec.verify.seen import Side
from mmspec.verify.tune.change import moved, replaced
from mmspec.verify.tune.count import tiles
from mmspec.verify.tune.counted import Tiles, Tilings, known
from mmspec.verify.tune.sites import Attention, Shown
from mmspec.verify.uncounted import NotCountedError

__all__ = ["Change", "Finding", "finding"]

Exactness = Literal["exact", "exact off the diagonal", "partly"]
"""Whether tiles are seen all or not at all; `causal` cuts those on the diagonal at any rate."""

_NEAR = 0.25
"""Of the visible pairs, that a change which only saves work may add or take away."""

_DRAWN = 2**22
"""Pairs up to which changes of masks with random blocks are sought."""

_WORTH = 0.01
_CLEARLY = 0.8
_OPERATIONS = 100_000

_THIN = frozenset({"strided", "axial"})
"""Patterns that show single lines of a tile in another order than their own."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A mask between two segments in tiles of one size."""

    mask: Mask
    tiles: Tiles
    executed: int
    visible: int
    exactness: Exactness

    @property
    def waste(self) -> float:
        """Of the visible pairs, those computed in vain."""
        return self.executed / self.visible - 1 if self.visible else 0.0


@dataclass(frozen=True, slots=True)
class Change:
    """Another mask, and why: the smallest that is `exact`, `saves` work, or an exact `instead`."""

    why: Literal["exact", "saves", "instead"]
    measure: Measure
    pairs: float
    """More visible pairs, as a share of those there are."""
    work: float
    """More pairs executed, likewise."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What can be said of a mask in tiles of one size: how it is, why, and what would change it."""

    shown: Shown
    now: Measure
    reasons: tuple[str, ...]
    changes: tuple[Change, ...]
    sought: bool = True
    """Whether changes were: long masks with random blocks are measured too slowly."""


def finding(attention: Attention, shown: Shown, tile: tuple[int, int]) -> Finding | None:
    """Of a pair of segments in the order of the compiler; None where its tiles are not counted."""
    now = _measure(attention, shown, shown.mask, tile)
    if now is None:
        return None
    if now.exactness == "exact":
        return Finding(shown, now, (), ())
    sought = is_closed(shown.mask) or shown.sides[0].stop * shown.sides[1].stop <= _DRAWN
    changes = tuple(_changes(attention, shown, now, tile)) if sought else ()
    exact = any(change.why == "exact" for change in changes)
    reasons = () if exact or now.exactness != "partly" else tuple(_reasons(shown))
    return Finding(shown, now, reasons, changes, sought)


def _changes(
    attention: Attention, shown: Shown, now: Measure, tile: tuple[int, int]
) -> Iterator[Change]:
    place = 0 if len(shown.sides[0].geometry.axes) > 1 else 1
    order = attention.compiled
    around = known(shown.sides[place]), attention.tilings(shown, order, tile)[place]

    def measured(masks: Iterable[Mask]) -> list[Change]:
        found = (_measure(attention, shown, mask, tile) for mask in _allowed(shown, masks))
        return [_change(one, now) for one in found if one is not None and one.visible]

    near = measured(moved(shown.mask, *around))
    exact = [change for change in near if change.measure.exactness != "partly"]
    if exact and now.exactness == "partly":
        best = min(exact, key=lambda change: abs(change.pairs))
        yield replace(best, why="exact")
        return
    saving = [change for change in near if _saves(change, now)]
    if saving:
        yield min(saving, key=lambda change: (change.measure.waste, abs(change.pairs)))
    other = replaced(shown.mask, *around) if now.exactness == "partly" else None
    for change in measured([] if other is None else [other]):
        how = change.measure.exactness
        if how == "exact" or (how != "partly" and change.measure.waste < _CLEARLY * now.waste):
            yield replace(change, why="instead")


def _allowed(shown: Shown, masks: Iterable[Mask]) -> Iterator[Mask]:
    """Other masks that hide something still; causal ones where the mask is causal."""
    query, key = shown.sides
    causal = shown.is_own and _is_causal(shown.mask, query)
    for mask in dict.fromkeys(masks):
        if mask == shown.mask or (causal and not _is_causal(mask, query)):
            continue
        with suppress(NotCountedError):
            if shown.pairs(mask) < query.stop * key.stop:
                yield mask


def _change(one: Measure, now: Measure) -> Change:
    pairs = one.visible / now.visible - 1 if now.visible else 0.0
    work = one.executed / now.executed - 1 if now.executed else 0.0
    return Change("saves", one, pairs, work)


def _saves(change: Change, now: Measure) -> bool:
    """Less waste for nearly the same mask: fewer tiles, or more keys in the same tiles."""
    less = now.waste - change.measure.waste
    return abs(change.pairs) <= _NEAR and less > _WORTH * (1 + now.waste) and change.work <= 0


def _measure(
    attention: Attention, shown: Shown, mask: Mask, tile: tuple[int, int]
) -> Measure | None:
    """Of another mask of a pair, in the order that the compiler would lay it in."""
    if mask == shown.mask:
        tilings = attention.tilings(shown, attention.compiled, tile)
    else:
        tilings = attention.tilings_with(shown, mask, tile)
    found = tiles(mask, *shown.sides, tilings)
    if found is None:
        return None
    exactness: Exactness = "exact" if found.exact else "partly"
    if not found.exact and shown.is_own and Pattern("causal") in patterns(mask):
        diagonal = _diagonal(tilings)
        rest = diagonal and tiles(meet(mask, complement(diagonal)), *shown.sides, tilings)
        exactness = "exact off the diagonal" if rest and rest.exact else "partly"
    area = tilings[0].tokens * tilings[1].tokens
    try:
        visible = shown.pairs(mask)
    except NotCountedError:
        return None
    return Measure(mask, found, found.touched * area, visible, exactness)


def _diagonal(tilings: Tilings) -> Mask | None:
    """Tiles of tokens that stand together, as a mask."""
    query, key = tilings
    if query != key or query.kind not in ("rows", "classes"):
        return None
    if query.kind == "classes" and query.pattern is not None:
        size = query.tokens * query.pattern.size("step")
        return meet(query.pattern, Pattern("block", (("size", size),)))
    return Pattern("block", (("size", query.tokens),))


@lru_cache(maxsize=1024)
def _is_causal(mask: Mask, place: Side) -> bool:
    """Whether no token sees a later one; told by its patterns where isl does not."""
    if is_closed(mask):
        try:
            with limited(_OPERATIONS):
                return relation(mask, known(place), known(place)).is_causal()
        except TooHardError:
            pass
    return looks_back(mask)


def _reasons(shown: Shown) -> Iterator[str]:
    """Why no number makes a mask exact."""
    names = list(dict.fromkeys(pattern.name for pattern in patterns(shown.mask)))
    sliding = list(dict.fromkeys(p.name for p in patterns(shown.mask) if p.slides))
    if sliding:
        verbs = ("border", "moves") if len(sliding) == 1 else ("borders", "move")
        yield f"the {verbs[0]} of {_listed(sliding)} {verbs[1]} on with each query"
    if "causal" in names:
        yield "causal cuts the tiles on the diagonal"
    thin = [name for name in names if name in _THIN]
    if thin:
        yield f"{_listed(thin)} show{'s' * (len(thin) == 1)} single lines of a tile"
    if "frame" in names:
        area = prod(known(shown.sides[0]).sizes({})[1:])
        yield f"frames of {area} tokens do not end where tiles do"


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
