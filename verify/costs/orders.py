"""What polynomials grow like: power products of symbols, and which of a sum count."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from itertools import combinations, groupby
from typing import TypeVar

T = TypeVar("T")
Order = tuple[tuple[str, int], ...]
"""A power product of symbols, such as (("text", 2),); () is 1."""


def products(factors: Iterable[frozenset[Order]]) -> frozenset[Order]:
    """The power products of a product, from those of its factors."""
    found = frozenset[Order]({()})
    for orders in factors:
        found = frozenset(_merge(a, b) for a in found for b in orders)
    return found


def bounded(order: Order, by: Order) -> bool:
    """`order` is at most `by` for all lengths from 1 up."""
    powers = dict(by)
    return all(power <= powers.get(name, 0) for name, power in order)


def highest(orders: Iterable[Order]) -> frozenset[Order]:
    """Those of a sum that count: no other one bounds them, nor two others together."""
    return _highest(frozenset(orders))


@lru_cache(maxsize=256)
def _highest(orders: frozenset[Order]) -> frozenset[Order]:
    found: set[Order] = set()
    holding: dict[str, list[Order]] = {}
    by_degree = groupby(sorted(orders, key=_degree, reverse=True), key=_degree)
    for _, same in by_degree:  # what bounds another one has a higher degree, and all its names
        new = [x for x in same if not any(bounded(x, y) for y in _holders(x, found, holding))]
        found.update(new)
        for x in new:
            for name, _ in x:
                holding.setdefault(name, []).append(x)
    by_names: dict[frozenset[str], set[Order]] = {}
    for x in found:
        by_names.setdefault(frozenset(name for name, _ in x), set()).add(x)
    every = frozenset(found)
    return frozenset(x for x in every if not _between(x, every, by_names))


def _holders(
    order: Order, found: set[Order], holding: Mapping[str, list[Order]]
) -> Collection[Order]:
    """Of the power products found, those that hold the rarest of an order's names."""
    return min((holding.get(name, ()) for name, _ in order), key=len, default=found)


def _degree(order: Order) -> int:
    return sum(power for _, power in order)


def _between(
    order: Order, found: frozenset[Order], by_names: Mapping[frozenset[str], set[Order]]
) -> bool:
    """Two others multiply to its square, so the larger of them is at least it."""
    names = [name for name, _ in order]
    for one, other in combinations(names[::-1], 2):
        if _traded(order, one, other) in found and _traded(order, other, one) in found:
            return True
    square = _merge(order, order)
    some = (frozenset(part) for n in range(len(names) + 1) for part in combinations(names, n))
    others = {x for part in some for x in by_names.get(part, ()) if x != order}
    return any(_merge(one, other) == square for one, other in combinations(others, 2))


def _traded(order: Order, more: str, less: str) -> Order:
    """A power of one name for a power of another."""
    powers = ((name, n + (name == more) - (name == less)) for name, n in order)
    return tuple((name, n) for name, n in powers if n)


def _merge(left: Order, right: Order) -> Order:
    powers = dict(left)
    for name, power in right:
        powers[name] = powers.get(name, 0) + power
    return tuple(sorted(powers.items()))


def shortened(items: list[T], most: int | None) -> list[T | None]:
    """Items, of which the first and the last are left where they are more; None: the others."""
    if most is None or len(items) <= most:
        return [*items]
    return [*items[: most - 1], None, items[-1]]


def write_orders(orders: Iterable[Order], most: int | None = None) -> str:
    """`O(B*text^2 + B*text*audio)`; `O(1)` when nothing grows, `0` when there is nothing.

    most: power products that are written; of more the first and the last.
    """
    every = sorted(orders, key=lambda order: (-sum(power for _, power in order), order))
    products = [
        "..."
        if order is None
        else "*".join(name if power == 1 else f"{name}^{power}" for name, power in order) or "1"
        for order in shortened(every, most)
    ]
    return f"O({' + '.join(products)})" if products else "0"
