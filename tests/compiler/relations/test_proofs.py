"""What relations prove for every length, and figures known from elsewhere."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy

from mmspec.compiler.relations.meaning.definitions import MeaninglessError
from mmspec.compiler.relations.meaning.geometry import Clock, grid, line, volume
from mmspec.compiler.relations.meaning.relation import Relation, receptive_field, relation
from mmspec.expressions.mask import parse

LINE, OTHER = line("n"), line("m")


def within(mask: str) -> Relation:
    return relation(parse(mask), LINE, LINE)


def test_the_receptive_field_of_four_windows_of_512() -> None:
    field = receptive_field(within("window(before=511)"), 4)
    assert (field.keys, field.before, field.after) == (2045, 2044, 0)
    assert field.relation.same(within("window(before=2044)"))


@pytest.mark.parametrize(
    ("mask", "layers", "keys"),
    [
        ("window(before=3, after=2)", 3, 16),
        ("dilated(step=4, reach=8)", 2, 9),
        ("block(size=6)", 5, 6),
        ("causal", 2, None),
        ("none", 3, 0),
        ("global(count=2)", 1, None),
    ],
)
def test_receptive_fields(mask: str, layers: int, keys: int | None) -> None:
    assert receptive_field(within(mask), layers).keys == keys


def test_reach_of_a_window_in_an_image_of_known_width() -> None:
    image = grid("h", 10)
    assert relation(parse("window2d(radius=2)"), image, image).reach() == (22, 22)


@pytest.mark.parametrize(
    ("mask", "causal"),
    [
        ("causal", True),
        ("window(before=100)", True),
        ("causal & ~block(size=8)", True),
        ("block(size=8)", False),
        ("block(size=1)", True),
        ("prefix(length=1) & global(count=1)", True),
        ("prefix(length=2)", False),
        ("window(before=3) | global(count=5) & causal", True),
        ("window(before=0, after=1)", False),
    ],
)
def test_causality(mask: str, causal: bool) -> None:
    assert within(mask).is_causal() is causal


def test_causality_in_a_video_of_unknown_size() -> None:
    video = volume("f", "h", "w")
    assert relation(parse("causal"), video, video).is_causal()
    assert not relation(parse("frame"), video, video).is_causal()
    later = relation(parse("causal & ~frame"), video, video)
    assert later.is_causal()
    assert later.disjoint(relation(parse("frame"), video, video))


def test_order_of_masks() -> None:
    assert within("window(before=3)").within(within("causal"))
    assert not within("causal").within(within("window(before=3)"))
    assert within("window(before=3)").disjoint(within("~causal"))
    assert not within("window(before=3)").disjoint(within("block(size=2)"))
    assert within("dilated(step=1, reach=4)").same(within("window(before=4, after=4)"))
    assert within("causal & ~causal").is_empty()
    assert within("window(before=2)").inverse().same(within("window(after=2)"))


def test_layers_compose() -> None:
    shifted = within("shifted_window(size=8, shift=4)")
    plain = within("shifted_window(size=8, shift=0)")
    assert plain.same(within("block(size=8)"))
    assert plain.compose(shifted).reach() == (11, 11)
    assert within("causal").compose(within("causal")).same(within("causal"))


def test_rows_without_a_key() -> None:
    assert within("causal").rows_without_key().is_empty()
    late = relation(parse("window(before=4)"), LINE, OTHER).rows_without_key()
    assert not late.is_empty()
    assert late.count().at({"n": 20, "m": 10}) == 6
    assert not within("dilated(step=3, reach=9) & ~window(before=0)").rows_without_key().is_empty()
    first = within("causal & ~window(before=0)").rows_without_key()
    assert first.count().at({"n": 50}) == 1


def test_counts_of_known_masks() -> None:
    n = sympy.Symbol("n", integer=True, nonnegative=True)
    causal = within("causal").count()
    assert sympy.expand(causal.closed().subs(n, 10**9)) == 10**9 * (10**9 + 1) // 2
    assert within("window(before=511)").count().at({"n": 2**20}) == 512 * 2**20 - 512 * 511 // 2
    assert within("block(size=100)").count().at({"n": 1_000_050}) == 10_000 * 100**2 + 50**2
    assert within("window(before=511)").density({"n": 512}) == Fraction(513, 1024)
    assert within("none").count().at({"n": 5}) == 0


@pytest.mark.parametrize(
    "mask",
    ["causal", "window(before=5)", "block(size=4)", "~dilated(step=3, reach=7) | prefix(length=2)"],
)
def test_closed_forms_are_what_is_counted(mask: str) -> None:
    count = within(mask).count()
    closed = count.closed()
    n = sympy.Symbol("n", integer=True, nonnegative=True)
    for length in (0, 1, 2, 3, 4, 5, 7, 8, 12, 31):
        assert closed.subs(n, length) == count.at({"n": length})


def test_time_in_seconds_and_clocks_in_milliseconds() -> None:
    frames = line("n", Clock(Fraction(0), Fraction(40)))
    hops = line("m", Clock(Fraction(5), Fraction(125, 2)))
    found = relation(parse("within(500 ms)"), frames, hops)
    assert found.contains(0, 7, {"n": 1, "m": 100})
    assert not found.contains(0, 8, {"n": 1, "m": 100})
    exact = relation(parse("within(40 ms)"), frames, frames)
    assert exact.same(relation(parse("window(before=1, after=1)"), frames, frames))


@pytest.mark.parametrize(
    ("mask", "why"),
    [
        ("window2d(radius=1)", "no row"),
        ("frame", "no frame"),
        ("axial(row)", "share no row"),
        ("within(1 s)", "no clock"),
        ("document", "table"),
        ("random(blocks=2)", "table"),
    ],
)
def test_patterns_that_mean_nothing_on_a_line(mask: str, why: str) -> None:
    with pytest.raises(MeaninglessError, match=why):
        within(mask)


def test_a_window_needs_an_order() -> None:
    image = grid("h", "w")
    with pytest.raises(MeaninglessError, match="length of a row"):
        relation(parse("window(before=3)"), image, image)


@pytest.mark.parametrize("size", [1, 2, 7, 16])
def test_windows_at_their_border(size: int) -> None:
    """W keys, the query's own among them: at lengths W-1, W, W+1 and 2W."""
    found = within(f"window(before={size - 1})")
    for length in (size - 1, size, size + 1, 2 * size):
        for query in range(length):
            seen = [k for k in range(length) if found.contains(query, k, {"n": length})]
            assert seen == list(range(max(0, query - size + 1), query + 1))


def test_predicates_are_source_for_numbers_and_arrays() -> None:
    import numpy as np

    masks = [
        "causal & window(before=3) | prefix(length=2)",
        "~(block(size=4) | dilated(step=2, reach=5))",
        "shifted_window(size=4, shift=1) & strided(step=3)",
    ]
    q, k = np.ogrid[:20, :20]
    for mask in masks:
        found = within(mask)
        seen = eval(found.predicate(), {"q": q, "k": k})
        each = [[found.contains(a, b, {"n": 20}) for b in range(20)] for a in range(20)]
        assert (seen == np.array(each)).all()
        assert eval(found.predicate(), {"q": 3, "k": 2}) == each[3][2]
