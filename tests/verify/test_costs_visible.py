"""Visible pairs between any two segments: closed forms and tables against a count by pair."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import islpy as isl
import pytest
import sympy

from mmspec.compiler import driver, ir
from mmspec.compiler.relations.limit import TooHardError, limited
from mmspec.compiler.relations.meaning.geometry import Clock, Geometry, grid, line, volume
from mmspec.expressions.mask import And, Mask, Not, Or, Pattern, parse, patterns
from mmspec.verify.costs.executed import executed_pairs, touched_tiles
from mmspec.verify.costs.lines import count
from mmspec.verify.costs.orders import write_orders
from mmspec.verify.costs.polynomial import Polynomial
from mmspec.verify.costs.tabled import Tabled
from mmspec.verify.costs.total import stack_of
from mmspec.verify.costs.visible import related_or_tabled, visible, visible_pairs_of
from mmspec.verify.seen import Side, seen, side

AREA = 6
"""Tokens of a frame of `clip`."""


def segment(name: str, geometry: Geometry, most: int = 200) -> ir.Segment:
    symbol = name if geometry.symbols else None
    tokens = ir.Tokens(symbol, most if symbol else geometry.tokens({}))
    return ir.Segment(name, tokens, geometry, name, False, False)


TEXT = segment("text", line("n_text"))
NOTE = segment("note", line("n_note"), 150)
AUDIO = segment("audio", line("n_audio", Clock(Fraction(0), Fraction(40))))
SOUND = segment("sound", line("n_sound", Clock(Fraction(0), Fraction(125, 2))))
IMAGE = segment("image", grid(5, 7))
CLIP = segment("clip", volume("n_clip", 2, 3, Clock(Fraction(0), Fraction(50))), 30)


Place = dict[str, Any]


def place(of: ir.Segment, index: int) -> Place:
    """A token's index and coordinates, from docs/masks.md."""
    if of is IMAGE:
        return {"index": index, "row": index // 7, "column": index % 7}
    if of is CLIP:
        frame, rest = index // AREA, index % AREA
        found = {"index": index, "frame": frame, "row": rest // 3, "column": rest % 3}
        return found | {"time": frame * 50}
    times = {"audio": Fraction(40), "sound": Fraction(125, 2)}
    return (
        {"index": index, "time": index * times[of.name]} if of.name in times else {"index": index}
    )


def _near(names: str, radius: int, q: Place, k: Place) -> bool:
    return all(abs(q[name] - k[name]) <= radius for name in names.split() if name in q)


def _shifted(q: Place, k: Place, size: int, shift: int) -> bool:
    names = ("row", "column") if "row" in q else ("index",)
    parts = all((q[name] - shift) // size == (k[name] - shift) // size for name in names)
    return parts and q.get("frame") == k.get("frame")


def _axial(q: Place, k: Place, axis: str) -> bool:
    return all(q[x] == k[x] for x in ("frame", "row", "column") if x in q and x != axis)


NAIVE: dict[str, Callable[..., bool]] = {
    "full": lambda q, k: True,
    "none": lambda q, k: False,
    "document": lambda q, k: True,
    "causal": lambda q, k: k["index"] <= q["index"],
    "window": lambda q, k, before, after: -after <= q["index"] - k["index"] <= before,
    "dilated": lambda q, k, step, reach: (
        abs(q["index"] - k["index"]) <= reach and (q["index"] - k["index"]) % step == 0
    ),
    "strided": lambda q, k, step: (q["index"] - k["index"]) % step == 0,
    "block": lambda q, k, size: q["index"] // size == k["index"] // size,
    "global": lambda q, k, count: q["index"] < count or k["index"] < count,
    "prefix": lambda q, k, length: k["index"] < length,
    "within": lambda q, k, duration: abs(q["time"] - k["time"]) <= duration * 1000,
    "window2d": lambda q, k, radius: (
        _near("row column", radius, q, k) and q.get("frame") == k.get("frame")
    ),
    "window3d": lambda q, k, radius: _near("frame row column", radius, q, k),
    "shifted_window": _shifted,
    "axial": _axial,
    "frame": lambda q, k: q["frame"] == k["frame"],
}


def sees(mask: Mask, q: Place, k: Place) -> bool:
    if isinstance(mask, Not):
        return not sees(mask.operand, q, k)
    if isinstance(mask, And):
        return sees(mask.left, q, k) and sees(mask.right, q, k)
    if isinstance(mask, Or):
        return sees(mask.left, q, k) or sees(mask.right, q, k)
    if mask.name == "random":
        return k["index"] // 64 in mask_blocks(mask, q["index"] // 64, k["blocks"])
    return NAIVE[mask.name](q, k, **dict(mask.arguments))


def mask_blocks(mask: Pattern, block: int, blocks: int) -> set[int]:
    """The blocks drawn, word for word as docs/masks.md has it."""
    b, s = mask.size("blocks"), mask.size("seed")
    if b >= blocks:
        return set(range(blocks))
    taken: set[int] = set()
    for t in range(b):
        top = blocks - b + t
        x = mixed(mixed(mixed(s) ^ block) ^ t) % (top + 1)
        taken.add(top if x in taken else x)
    return taken


def mixed(state: int) -> int:
    """SplitMix64 at a state, as its authors publish it."""
    z = (state + 0x9E3779B97F4A7C15) % 2**64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
    return z ^ (z >> 31)


def pairs(query: ir.Segment, key: ir.Segment, mask: Mask, sizes: tuple[int, int]) -> set[Any]:
    blocks = {"blocks": -(-key.tokens.max // 64)}
    rows = [place(query, index) for index in range(sizes[0])]
    columns = [place(key, index) | blocks for index in range(sizes[1])]
    return {(q["index"], k["index"]) for q in rows for k in columns if sees(mask, q, k)}


ANYWHERE = ("full", "none", "global({a})", "prefix({b})")
ORDER = (
    "causal",
    "window(before={a}, after={b})",
    "dilated(step={a}, reach={b})",
    "strided({a})",
    "block({b})",
)
SPACE = ("window2d({a})", "axial(row)", "axial(column)", "shifted_window(size={a}, shift={b})")
TIME = ("within({d} ms)",)
PLACES: dict[str, tuple[ir.Segment, ir.Segment, tuple[str, ...]]] = {
    "square": (TEXT, TEXT, (*ANYWHERE, *ORDER, "shifted_window(size={b}, shift={a})")),
    "two texts": (TEXT, NOTE, (*ANYWHERE, *ORDER)),
    "clocks": (AUDIO, SOUND, (*ANYWHERE, *TIME, *TIME)),
    "one clock": (AUDIO, AUDIO, (*ANYWHERE, *ORDER, *TIME, *TIME)),
    "image": (IMAGE, IMAGE, (*ANYWHERE, *ORDER, *SPACE, *SPACE)),
    "to image": (TEXT, IMAGE, ANYWHERE),
    "clip": (
        CLIP,
        CLIP,
        (*ANYWHERE, *ORDER, *SPACE, *TIME, "window3d({a})", "frame", "axial(frame)"),
    ),
    "clip and audio": (CLIP, AUDIO, (*ANYWHERE, *TIME, *TIME)),
}


def random_mask(rng: random.Random, texts: tuple[str, ...], depth: int = 2) -> Mask:
    if depth and rng.random() < 0.6:
        if rng.random() < 0.3:
            return Not(random_mask(rng, texts, depth - 1))
        kind = rng.choice((And, Or))
        return kind(random_mask(rng, texts, depth - 1), random_mask(rng, texts, depth - 1))
    numbers = {"a": rng.randint(1, 4), "b": rng.randint(1, 9), "d": rng.randint(1, 300)}
    return parse(rng.choice(texts).format(**numbers))


def lengths_of(of: ir.Segment, rng: random.Random) -> int:
    if of is IMAGE:
        return 35
    return AREA * rng.randint(0, 5) if of is CLIP else rng.choice((0, 1, 2, 5, 11, 18, 25))


def at(*segments: tuple[ir.Segment, int]) -> dict[str, int]:
    return {x.tokens.symbol: size for x, size in segments if x.tokens.symbol}


def sizes_of(query: ir.Segment, key: ir.Segment) -> tuple[int | str, int | str]:
    first, second = (x.tokens.symbol or x.tokens.max for x in (query, key))
    return first, second


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("seed", range(3))
def test_counts_and_tables_equal_the_pairs_one_by_one(where: str, seed: int) -> None:
    """12 masks a seed and place, at three pairs of lengths each."""
    query, key, texts = PLACES[where]
    rng = random.Random(100 * seed + len(where))
    for _ in range(12):
        mask = random_mask(rng, texts)
        found = visible(query, key, mask, sizes_of(query, key))
        for _ in range(3):
            rows = lengths_of(query, rng)
            columns = rows if query is key else lengths_of(key, rng)
            expected = pairs(query, key, mask, (rows, columns))
            given = at((query, rows), (key, columns))
            assert found.evaluate(given) == len(expected), (mask, rows, columns)
            table = seen(mask, side(query, given), side(key, given))
            assert table.shape == (rows, columns)
            assert {(int(q), int(k)) for q, k in zip(*table.nonzero(), strict=True)} == expected


@pytest.mark.parametrize("where", ["square", "two texts", "clocks", "clip", "to image"])
def test_closed_forms_equal_the_count(where: str) -> None:
    """What is printed: the exact form at every length, the long one from its bound on."""
    query, key, texts = PLACES[where]
    rng, named = random.Random(7), 0
    for _ in range(8):
        mask = random_mask(rng, texts, depth=1)
        found = visible(query, key, mask, sizes_of(query, key))
        if "visible[" in found.write():
            named += 1
            continue
        bound = max((atom.bound() for term in found.terms for atom, _ in term), default=0)
        bound += -bound % AREA
        for step in (0, 6, 18, bound, bound + 24):
            rows, columns = step, step if query is key else step + 12
            columns = 35 if key is IMAGE else columns
            given = at((query, rows), (key, columns))
            expected = found.evaluate(given)
            assert value(found, given, long=False) == expected, (mask, given)
            if min(given.values()) >= bound:
                assert value(found, given, long=True) == expected, (mask, given)
    assert named <= 2, "too many regions to print"


@pytest.mark.parametrize(("step", "rows", "expected"), [(10**36, 50, 50), (10**-36, 50, 2500)])
def test_clocks_of_any_rate_are_counted(step: float, rows: int, expected: int) -> None:
    """Steps of 10**36 ms and of 10**-36 ms: numbers beyond those of a machine."""
    clock = Clock(Fraction(0), Fraction(10) ** (36 if step > 1 else -36))
    fast = segment("fast", line("n_fast", clock))
    found = visible(fast, fast, parse("within(7 ms)"), sizes_of(fast, fast))
    assert found.evaluate(at((fast, rows), (fast, rows))) == expected


def value(polynomial: Polynomial, given: dict[str, int], long: bool) -> Any:
    symbols = {sympy.Symbol(name, integer=True, nonnegative=True): n for name, n in given.items()}
    form = polynomial.long().closed(long=True) if long else polynomial.closed()
    return form.subs(list(symbols.items()))


def test_relations_agree_with_the_forms_written_by_hand() -> None:
    """The patterns of one sequence, which need no relation: both ways give the same numbers."""
    rng = random.Random(23)
    texts = tuple(x for x in (*ANYWHERE, *ORDER) if not x.startswith(("strided", "prefix")))
    for _ in range(60):
        mask = random_mask(rng, texts)
        found = related_or_tabled(TEXT, TEXT, mask)
        for size in (0, 1, 2, 7, 13, 40, 211, 10**9 + 7):
            expected = count(mask, size, size)
            assert found.evaluate({"text": size}) == expected, (mask, size)


@pytest.mark.parametrize(
    ("where", "text", "order", "within"),
    [
        ("square", "strided(4)", "O(text^2)", ""),
        ("square", "strided(4) & window(before=40)", "O(text)", ""),
        ("square", "prefix(9) & window(before=4, after=4)", "O(1)", ""),
        ("square", "strided(4) & none", "0", ""),
        ("square", "shifted_window(size=8, shift=3)", "O(text)", ""),
        ("square", "random(blocks=2)", "O(text)", ""),
        ("square", "random(blocks=2) | causal", "O(text^2)", ""),
        ("two texts", "window(before=3, after=3)", "O(note)", "O(text)"),
        ("two texts", "causal", "O(note*text)", "O(text^2)"),
        ("two texts", "prefix(5)", "O(text)", ""),
        ("clocks", "within(500 ms)", "O(audio)", "O(sound)"),
        ("clocks", "within(500 ms) | global(2)", "O(audio + sound)", ""),
        ("clip", "frame", "O(clip)", ""),
        ("clip", "axial(frame)", "O(clip^2)", ""),
        ("clip and audio", "within(90 ms)", "O(audio)", "O(clip)"),
    ],
)
def test_growth(where: str, text: str, order: str, within: str) -> None:
    """Orders worked out by hand; `within`: another one that bounds it too."""
    query, key, _ = PLACES[where]
    found = visible(query, key, parse(text), sizes_of(query, key))
    shown = {
        write_orders(orders) for term in found.terms for a, _ in term for orders in a.growths()
    }
    assert (shown or {write_orders(found.orders())}) == {order, *([within] if within else [])}
    for text in filter(None, (order, within)):
        if "+" not in text and len(text) > 1:
            powers = tuple(tuple(x.split("^")) for x in text[2:-1].split("*") if x != "1")
            known = tuple((x[0], int(x[1]) if len(x) > 1 else 1) for x in powers)
            assert found.within(known)
            assert not known or not found.within(()) or shown == {"0"}


def test_rates_without_a_common_divisor_are_counted_and_named() -> None:
    """44.1 kHz in hops of 512 against 25 frames a second: too many regions to print."""
    audio = segment("sound", line("n_sound", Clock(Fraction(0), Fraction(512000, 44100))))
    found = visible(audio, AUDIO, parse("within(500 ms)"), ("sound", "audio"))
    rows, columns = 90, 31
    near = [
        (q, k)
        for q in range(rows)
        for k in range(columns)
        if abs(q * Fraction(512000, 44100) - k * 40) <= 500
    ]
    assert found.evaluate({"sound": rows, "audio": columns}) == len(near)
    assert found.write() == "(visible[within(duration=500 ms)](audio, sound))" or (
        found.write() == "(visible[within(duration=500 ms)](sound, audio))"
    )
    assert found.within((("sound", 1),))
    assert found.within((("audio", 1),))


def test_a_form_is_bounded_at_once_however_long_its_regions_are() -> None:
    """Every pair of frames of 40 ms is near until there are 25,000,000,000 of them."""
    found = visible(AUDIO, AUDIO, parse("within(1000000000 s)"), ("audio", "audio"))
    assert found.evaluate({"audio": 200}) == 40_000
    ((atom, _),) = next(iter(found.terms))
    assert atom.bound() == 25_000_000_000


@pytest.mark.parametrize("few", [0, 2**20])
def test_few_pairs_are_looked_at_and_many_have_a_closed_form(
    few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmspec.verify.costs.visible._FEW", few)
    for of, size, text in ((TEXT, 61, "strided(4) & causal | prefix(3)"), (CLIP, 18, "frame")):
        place_of = side(of, {of.name: size})
        expected = len(pairs(of, of, parse(text), (size, size)))
        assert visible_pairs_of(parse(text), (of, of), (place_of, place_of)) == expected


def test_drawing_every_block_is_seeing_all() -> None:
    for text, form in {"random(blocks=4)": "text**2", "~random(blocks=2147483647)": "0"}.items():
        assert visible(TEXT, TEXT, parse(text), ("text", "text")).write() == form


@pytest.mark.parametrize(
    "text",
    [
        "random(blocks=1, seed=5)",
        "random(blocks=2) & causal",
        "~random(blocks=1) | window(before=3)",
        "random(blocks=1, seed=1) & ~random(blocks=2, seed=2) | global(1)",
        "random(blocks=9)",
    ],
)
def test_random_blocks_are_counted_at_given_lengths(text: str) -> None:
    """The draw is of the blocks that the segment can hold, however long the sample is."""
    mask = parse(text)
    found = visible(TEXT, TEXT, mask, ("text", "text"))
    for size in (0, 1, 63, 64, 65, 130, 200):
        expected = pairs(TEXT, TEXT, mask, (size, size))
        assert found.evaluate({"text": size}) == len(expected), size
        table = seen(mask, side(TEXT, {"text": size}), side(TEXT, {"text": size}))
        assert table.sum() == len(expected)
    across = visible(NOTE, IMAGE, parse("random(blocks=1)"), ("note", 35))
    assert across.evaluate({"note": 100}) == 3500


def test_a_draw_hides_no_faster_growth() -> None:
    """Draws change a linear number of pairs: they bound no claim unless all else grows more."""
    exact = {
        "random(blocks=1)": False,
        "random(blocks=1) | window(before=3)": False,
        "random(blocks=1) | causal": True,
        "strided(4) & ~random(blocks=1)": True,
    }
    for text, expected in exact.items():
        assert visible(TEXT, TEXT, parse(text), ("text", "text")).exact is expected, text


def test_work_without_end_is_refused() -> None:
    """A limit on isl; other errors of its stay what they are, and nothing is left of the limit."""
    with pytest.raises(TooHardError), limited(50):
        for size in range(2, 99):
            isl.Set(f"[n] -> {{ [x] : 0 <= x < n and x mod {size} > 0 }}").is_empty()
    with pytest.raises(isl.Error, match="syntax"), limited(10**6):
        isl.Set("no set")
    assert isl.DEFAULT_CONTEXT.get_max_operations() == 0


def test_what_has_no_closed_form_is_counted_by_rows() -> None:
    mask = parse("strided(3) & ~global(2)")
    atom = Tabled(TEXT, NOTE, mask, None)
    assert atom.evaluate({"text": 31, "note": 17}) == len(pairs(TEXT, NOTE, mask, (31, 17)))
    assert atom.orders() == {(("note", 1), ("text", 1))}
    assert not atom.exact


@pytest.mark.parametrize("where", PLACES)
def test_executed_tiles_are_those_with_a_visible_pair(where: str, monkeypatch: Any) -> None:
    """By tables and by the loops of the relation, tokens in the order of their index."""
    query, key, texts = PLACES[where]
    rng = random.Random(41 + len(where))
    for limit in (2**20, -1):
        monkeypatch.setattr("mmspec.verify.costs.executed._SMALL", limit)
        touched_tiles.cache_clear()
        for _ in range(6):
            mask, tile = random_mask(rng, texts, depth=1), (rng.randint(1, 8), rng.randint(1, 8))
            rows = lengths_of(query, rng)
            columns = rows if query is key else lengths_of(key, rng)
            given = at((query, rows), (key, columns))
            found = touched_tiles(mask, side(query, given), side(key, given), tile)
            expected = pairs(query, key, mask, (rows, columns))
            assert found == len({(q // tile[0], k // tile[1]) for q, k in expected}), (mask, tile)


def test_a_single_tile_is_executed_if_a_pair_is_visible() -> None:
    """Without a table, in samples that fit in one tile, and some that are absent."""
    plan = driver.run(Path(__file__).parents[2] / "specs" / "video.yaml", "lower")
    for given in ({}, {"clip": 12}, {"clip": 24, "sound": 1}, {"sound": 0, "text": 5}):
        for name in ("clip", "sound", "scene", "caption"):
            stack = stack_of(plan, name)
            ends = {s.name: side(s, given) for s in stack.source.segments}
            tiles = sum(
                group.heads * bool(seen(mask, ends[q], ends[k]).any())
                for group in stack.attentions[0].groups
                for q, k, mask in group.masks
            )
            tile = (97, 101)
            assert executed_pairs(plan, name, given, tile) == Fraction(97 * 101 * tiles, 4), name


def test_executed_tiles_of_random_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples shorter than can be: the draw is of what can be, by tables and by loops."""
    mask = parse("random(blocks=1, seed=3) | window(before=2)")
    for limit, size in product((2**20, -1), (64, 100, 200)):
        monkeypatch.setattr("mmspec.verify.costs.executed._SMALL", limit)
        touched_tiles.cache_clear()
        ends = side(TEXT, {"text": size}), side(TEXT, {"text": size})
        expected = pairs(TEXT, TEXT, mask, (size, size))
        assert touched_tiles(mask, *ends, (32, 16)) == len(
            {(q // 32, k // 16) for q, k in expected}
        )


def test_all_patterns_are_tried() -> None:
    """The lists above leave none out."""
    from mmspec.expressions.mask_patterns import PATTERNS

    numbers = {"a": 1, "b": 1, "d": 1}
    tried = {
        pattern.name
        for _, _, texts in PLACES.values()
        for text in texts
        for pattern in patterns(parse(text.format(**numbers)))
    }
    assert tried | {"random", "document"} == set(PATTERNS)


def test_figures_of_the_longest_segments_that_there_can_be() -> None:
    """Of 2^25 rows of tiles, none of which is looked at by itself."""
    whole, rows, before = Side(line("n"), 0, 2**31 - 1, 2**31 - 1), 2**25, 10**9 // 64
    assert touched_tiles(parse("causal"), whole, whole, (64, 64)) == rows * (rows + 1) // 2
    behind = before * (before + 1) // 2 + before * (rows - 1 - before)
    window = parse("window(before=1000000000, after=64)")
    assert touched_tiles(window, whole, whole, (64, 64)) == behind + 2 * rows - 1
    steps = [divmod(far, 64) for far in range(0, 2**31 - 1, 1000003)]  # each touches its own tiles
    one, two = (rows - tiles for tiles, _ in steps), (rows - t - 1 for t, rest in steps if rest)
    expected = sum(one) + sum(two) - sum(rest == 63 for _, rest in steps)  # the last row lacks one
    assert touched_tiles(parse("causal & strided(1000003)"), whole, whole, (64, 64)) == expected
