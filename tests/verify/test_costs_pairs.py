"""Visible pairs: closed forms against a count, pair by pair, written from the language's page."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import sympy
from numpy.typing import NDArray

from mmspec.compiler import ir
from mmspec.compiler.relations.meaning.geometry import line
from mmspec.expressions.mask import And, Mask, Not, Or, Pattern, parse
from mmspec.verify.costs import lines, pairs
from mmspec.verify.costs.orders import Order, bounded, highest, write_orders

Seen = NDArray[np.bool_]


def seen(mask: Mask, queries: int, keys: int) -> Seen:
    """Which pairs a mask lets see: bool [queries, keys], from the definition of each pattern."""
    if isinstance(mask, Not):
        return ~seen(mask.operand, queries, keys)
    if isinstance(mask, And | Or):
        left, right = (seen(x, queries, keys) for x in (mask.left, mask.right))
        return left & right if isinstance(mask, And) else left | right
    q, k = np.arange(queries)[:, None], np.arange(keys)[None, :]
    value = {name: mask.size(name) for name, _ in mask.arguments}
    tables: dict[str, Callable[[], Seen]] = {
        "full": lambda: (q == q) & (k == k),
        "none": lambda: (q != q) & (k == k),
        "causal": lambda: k <= q,
        "window": lambda: (q - k <= value["before"]) & (q - k >= -value["after"]),
        "dilated": lambda: (abs(q - k) <= value["reach"]) & ((q - k) % value["step"] == 0),
        "block": lambda: q // value["size"] == k // value["size"],
        "global": lambda: (q < value["count"]) | (k < value["count"]),
    }
    return np.broadcast_to(tables[mask.name](), (queries, keys))


def random_mask(rng: random.Random, square: bool, depth: int = 3) -> Mask:
    """A mask of up to eight patterns; only those that cross modalities unless `square`."""
    if depth and rng.random() < 0.85:
        if rng.random() < 0.3:
            return Not(random_mask(rng, square, depth - 1))
        sides = (random_mask(rng, square, depth - 1) for _ in range(2))
        return rng.choice((And, Or))(*sides)
    choices = [
        Pattern("full"),
        Pattern("none"),
        Pattern("global", (("count", rng.randint(1, 9)),)),
    ]
    if square:
        choices += [
            Pattern("causal"),
            Pattern("window", (("before", rng.randint(0, 12)), ("after", rng.randint(0, 12)))),
            Pattern("dilated", (("step", rng.randint(1, 7)), ("reach", rng.randint(1, 25)))),
            Pattern("block", (("size", rng.randint(1, 10)),)),
        ]
    return rng.choice(choices)


def segment(name: str) -> ir.Segment:
    """A segment of variable length."""
    return ir.Segment(name, ir.Tokens(name, 1000), line(f"n_{name}"), name, False, False)


@pytest.mark.parametrize("seed", range(12))
def test_square_equals_a_count(seed: int) -> None:
    """40 random masks a seed, at every length to 30 and some longer ones."""
    rng = random.Random(seed)
    for _ in range(40):
        mask = random_mask(rng, square=True)
        table = seen(mask, 130, 130)
        for size in (*range(31), 57, 64, 97, 130):
            assert lines.count(mask, size, size) == table[:size, :size].sum(), (mask, size)


def test_rectangle_equals_a_count() -> None:
    """60 random masks over two segments of different lengths."""
    rng = random.Random(5)
    for _ in range(60):
        mask = random_mask(rng, square=False)
        for queries, keys in ((0, 0), (0, 5), (3, 0), (2, 11), (17, 4), (23, 31)):
            expected = seen(mask, queries, keys).sum()
            assert lines.count(mask, queries, keys) == expected, mask


@pytest.mark.parametrize("square", [True, False])
def test_closed_forms_equal_the_count(square: bool) -> None:
    """The sympy forms: the exact one at every length, the long one past its bound."""
    rng = random.Random(11)
    a, b = segment("a"), segment("a" if square else "b")
    for _ in range(30):
        mask = random_mask(rng, square, depth=2)
        polynomial = pairs.visible(a, b, mask, (a.name, b.name))
        atoms = {atom for term in polynomial.terms for atom, _ in term}
        bound = max([1, *(atom.bound() for atom in atoms if isinstance(atom, pairs.Visible))])
        for size in (0, 1, 2, 7, bound, bound + 1, bound + 12, 41 + bound):
            other = size if square else size + 3
            expected = seen(mask, size, other).sum()
            at = {
                sympy.Symbol("a", integer=True, nonnegative=True): size,
                sympy.Symbol("b", integer=True, nonnegative=True): other,
            }
            assert polynomial.evaluate({"a": size, "b": other}) == expected, mask
            assert polynomial.closed().subs(list(at.items())) == expected, (mask, size)
            if size >= bound:
                long = polynomial.long()
                assert long.evaluate({"a": size, "b": other}) == expected, mask
                assert long.closed(long=True).subs(list(at.items())) == expected, (mask, size)


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("full", "O(a^2)"),
        ("none", "0"),
        ("causal & ~causal", "0"),
        ("causal", "O(a^2)"),
        ("causal & window(before=100)", "O(a)"),
        ("~window(before=3, after=4)", "O(a^2)"),
        ("global(4)", "O(a)"),
        ("~global(4) & window(before=2, after=2)", "O(a)"),
        ("~global(3)", "O(a^2)"),
        ("global(4) & window(before=2, after=2)", "O(1)"),
        ("global(4) & block(3)", "O(1)"),
        ("block(5)", "O(a)"),
        ("block(5) & ~block(10)", "0"),
        ("block(5) & block(7)", "O(a)"),
        ("dilated(step=4, reach=64) | window(before=3, after=3)", "O(a)"),
        ("full & ~(causal | window(before=0, after=9))", "O(a^2)"),
    ],
)
def test_growth_of_a_square(text: str, order: str) -> None:
    """Orders worked out by hand."""
    found = pairs.visible(segment("a"), segment("a"), parse(text), ("a", "a"))
    assert write_orders(found.orders()) == order


@pytest.mark.parametrize(
    ("text", "sizes", "orders"),
    [
        ("full", ("a", "b"), {(("a", 1), ("b", 1))}),
        ("global(2)", ("a", "b"), {(("a", 1),), (("b", 1),)}),
        ("~global(2)", ("a", "b"), {(("a", 1), ("b", 1))}),
        ("global(2) & ~global(2)", ("a", "b"), set()),
        ("global(2)", ("a", 5), {(("a", 1),)}),
        ("~global(7)", ("a", 5), set()),
        ("~global(2)", (5, "b"), {(("b", 1),)}),
        ("global(2)", (5, 6), {()}),
        ("none", (5, 6), set()),
    ],
)
def test_growth_of_a_rectangle(
    text: str, sizes: tuple[int | str, int | str], orders: set[Order]
) -> None:
    """Orders worked out by hand; a number is a segment of fixed length."""
    found = pairs.visible(segment("a"), segment("b"), parse(text), sizes)
    assert found.orders() == orders


def test_growth_is_what_longer_segments_show() -> None:
    """The order's power is the logarithm of how the count grows when the length doubles."""
    rng = random.Random(3)
    for _ in range(100):
        mask = random_mask(rng, square=True)
        orders = pairs.visible(segment("a"), segment("a"), mask, ("a", "a")).orders()
        small, large = (lines.count(mask, n, n) for n in (10**7, 2 * 10**7))
        assert len(orders) == (small > 0)
        if small:
            power = sum(power for _, power in next(iter(orders)))
            assert large / small == pytest.approx(2**power, rel=1e-4), mask


def test_sizes_beyond_any_table() -> None:
    """Nothing is enumerated: lengths and reaches of a billion, exact past 2**53."""
    size = 10**9 + 7
    assert lines.count(parse("causal"), size, size) == size * (size + 1) // 2
    causal, too_far = size * (size + 1) // 2, sum(range(1, size - 10**9))
    first_sees_later = 3 * size - 6
    later_sees_first = sum(min(3, size - distance) for distance in range(10**9 + 1, size))
    mask = parse("causal & window(before=1000000000) | global(3)")
    expected = causal - too_far + first_sees_later + later_sees_first
    assert lines.count(mask, size, size) == expected


def test_orders_that_count_are_those_that_no_other_bounds() -> None:
    """Against every pair of orders and every pair that may lie around one."""
    rng = random.Random(0)
    for _ in range(200):
        some = [tuple((x, rng.randint(0, 3)) for x in "abc") for _ in range(rng.randint(1, 12))]
        orders = {tuple((x, n) for x, n in powers if n) for powers in some}
        top = {x for x in orders if not any(x != y and bounded(x, y) for y in orders)}
        around = {
            x
            for x in top
            for one, other in itertools.combinations(top - {x}, 2)
            if Counter(dict(one)) + Counter(dict(other)) == Counter({n: 2 * p for n, p in x})
        }
        assert highest(orders) == top - around
