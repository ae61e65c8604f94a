"""The adviser: the changes it names are the smallest, its speeds are near those of real plans."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import Any

import pytest
from cost_specs import SHIPPED

import mmspec
from mmspec.compiler import driver, ir
from mmspec.compiler.load_pattern import install
from mmspec.compiler.relations.loops.arrangement import Boxes, Classes, layout
from mmspec.compiler.relations.loops.schedule import schedule_of
from mmspec.compiler.relations.loops.tiles import linear_tiles
from mmspec.compiler.relations.meaning.geometry import Geometry, grid, line, volume
from mmspec.compiler.relations.meaning.sequence import SequenceMask
from mmspec.compiler.relations.meaning.sequence import Side as Segment
from mmspec.compiler.runtime import native, pace, sparse_calls, sparse_groups, sparse_plan
from mmspec.compiler.runtime.sparse_calls import Call
from mmspec.expressions.mask import Mask, parse, patterns, unparse
from mmspec.verify import costs
from mmspec.verify.costs.executed import executed_pairs
from mmspec.verify.seen import Side, seen
from mmspec.verify.tune import speed
from mmspec.verify.tune.advice import TILES, advise, lengths_of, pieces
from mmspec.verify.tune.arranged import arranged
from mmspec.verify.tune.count import tiles
from mmspec.verify.tune.order import ROWS, Order, tiled
from mmspec.verify.tune.proposal import Finding, finding
from mmspec.verify.tune.report import tune
from mmspec.verify.tune.sites import Attention, Shown


@pytest.fixture(autouse=True)
def unforced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices decide, whatever this process was started with."""
    monkeypatch.delenv("MMSPEC_TILES", raising=False)


def segment(geometry: Geometry, tokens: int) -> ir.Segment:
    symbol = "text" if geometry.symbols else None
    return ir.Segment("text", ir.Tokens(symbol, tokens), geometry, "text", False, False)


def found(text: str, tokens: int, geometry: Geometry | None = None) -> Finding:
    """The finding of a mask of one segment in tiles of 64, in the order of the compiler."""
    of, mask = segment(geometry or line("n_text"), tokens), parse(text)
    here, own = Side(of.geometry, 0, tokens, tokens), Segment("text", of.geometry)
    shown = Shown(of, of, mask, (here, here))
    sequence = SequenceMask((own,), (own,), (("text", "text", mask),))
    about = "text", "stream", (0, 4), 4, 16
    attention = Attention(*about, (here,), (here,), (shown,), sequence, True)
    result = finding(attention, shown, (64, 64))
    assert result is not None
    return result


def only(result: Finding) -> tuple[str, str, str]:
    (change,) = result.changes
    return change.why, unparse(change.measure.mask), change.measure.exactness


def cut(mask: Mask, tokens: int, side: int = 64) -> set[tuple[int, int]]:
    """The tiles of which some pairs are visible and some are not, by looking at all pairs."""
    here = Side(line("n_text"), 0, tokens, tokens)
    table = seen(mask, here, here)
    places = range(0, tokens, side)
    parts = {(i, j): table[i : i + side, j : j + side] for i in places for j in places}
    return {place for place, part in parts.items() if part.any() and not part.all()}


TOKENS = 640


@pytest.mark.parametrize(
    ("text", "tries"),
    [
        ("block({a})", [(100,), (70,), (150,), (64,), (33,)]),
        ("global({a}) | block(64)", [(4,), (64,), (90,), (100,)]),
        ("prefix({a}) | block(128)", [(31,), (200,)]),
        ("shifted_window(size={a}, shift={b})", [(100, 31), (128, 64), (150, 90)]),
    ],
)
def test_no_smaller_change_makes_a_mask_exact(text: str, tries: list[tuple[int, ...]]) -> None:
    """All multiples of 16 up to 256 are tried: the smallest change moves the fewest pairs."""
    here = Side(line("n_text"), 0, TOKENS, TOKENS)
    names = "ab"[: len(tries[0])]
    exact: dict[tuple[int, ...], int] = {}
    for values in itertools.product(range(256 + 1), repeat=len(names)):
        if values[0] == 0 or any(value % 16 for value in values):
            continue
        mask = parse(text.format(**dict(zip(names, values, strict=True))))
        if not cut(mask, TOKENS):
            exact[values] = int(seen(mask, here, here).sum())
    for given in tries:
        mask = parse(text.format(**dict(zip(names, given, strict=True))))
        result = found(unparse(mask), TOKENS)
        pairs = int(seen(mask, here, here).sum())
        assert result.now.visible == pairs
        if not cut(mask, TOKENS):
            assert result.now.exactness == "exact"
            assert result.changes == ()
            continue
        why, changed, exactness = only(result)
        assert (why, exactness) == ("exact", "exact")
        assert not cut(parse(changed), TOKENS)
        least = min(abs(n - pairs) for n in exact.values())
        assert abs(result.changes[0].measure.visible - pairs) == least, (given, changed)


def test_a_block_that_ends_within_a_tile_has_no_exact_size_but_multiples() -> None:
    """Every size up to 200 is tried: what the advice rests on."""
    sizes = [n for n in range(1, 201) if not cut(parse(f"block({n})"), TOKENS)]
    assert sizes == [64, 128, 192]


def test_windows_have_no_exact_size_and_blocks_are_named_instead() -> None:
    for size in range(80):
        assert cut(parse(f"window(before={size}, after={size})"), 320)
    result = found("window(before=63, after=64)", 1024)
    assert result.reasons == ("the border of window moves on with each query",)
    assert only(result) == ("instead", "block(size=128)", "exact")
    assert result.changes[0].pairs == pytest.approx(128 * 1024 / result.now.visible - 1)


def test_windows_that_become_one_block_are_named_once() -> None:
    both = found("window(before=128) | window(after=128)", 1024)
    assert only(both) == ("instead", "block(size=128)", "exact")


def test_a_window_that_ends_within_a_tile_may_show_more_in_the_same_tiles() -> None:
    change = found("causal & window(before=110)", 4096).changes[0]
    assert change.why == "saves"
    assert unparse(change.measure.mask) == "causal & window(before=128, after=0)"
    assert change.work == 0
    assert change.pairs > 0.1


def test_causal_masks_stay_causal_and_are_exact_off_the_diagonal() -> None:
    result = found("causal & block(100)", 1280)
    assert only(result) == ("exact", "causal & block(size=128)", "exact off the diagonal")
    assert cut(result.changes[0].measure.mask, 1280) == {(i, i) for i in range(0, 1280, 64)}
    assert found("causal", 1280).now.exactness == "exact off the diagonal"
    assert found("causal", 1280).changes == ()
    assert cut(parse("causal & block(100)"), 1280) > {(i, i) for i in range(0, 1280, 64)}
    for text in ("causal & window(before=70, after=70)", "causal & block(40) & prefix(300)"):
        for change in found(text, 1280).changes:
            here = Side(line("n_text"), 0, 1280, 1280)
            table = seen(change.measure.mask, here, here)
            assert not any(table[q, q + 1 :].any() for q in range(1280))


def test_a_window_to_the_past_alone_is_causal_too() -> None:
    """Blocks would show what is later, so they are not named, as they are where it shows some."""
    assert "instead" in [x.why for x in found("window(before=63, after=1)", 1280).changes]
    assert "instead" not in [x.why for x in found("window(before=63)", 1280).changes]


def test_classes_and_boxes_have_changes_of_their_own() -> None:
    dilated = found("dilated(step=4, reach=512)", 4096)
    assert only(dilated) == ("instead", "strided(step=4) & block(size=1024)", "exact")
    assert dilated.changes[0].measure.executed == 4096 * 256
    image = found("window2d(7)", 1024, grid(32, 32))
    assert [(x.why, unparse(x.measure.mask), x.work) for x in image.changes] == [
        ("saves", "window2d(radius=8)", 0.0),
        ("instead", "shifted_window(size=16, shift=0)", -0.36),
    ]
    assert image.now.waste == pytest.approx(100 * 64 * 64 / (32 * 15 - 7 * 8) ** 2 - 1)
    window = found("shifted_window(size=10, shift=3) | block(256)", 1024, grid(32, 32))
    why, mask, exactness = only(window)
    assert (why, exactness) == ("exact", "exact")
    sizes = {
        text: abs(int(seen(parse(text), *window.shown.sides).sum()) - window.now.visible)
        for text in (
            f"shifted_window(size={size}, shift={shift}) | block(size=256)"
            for size in (8, 16)
            for shift in (0, 8)
        )
    }
    assert sizes[mask] == min(sizes.values())
    assert found("shifted_window(size=7, shift=3)", 1024, grid(32, 32)).changes == ()


def test_a_change_is_measured_in_the_tiles_it_is_for() -> None:
    for text in ("block(100)", "global(4) | block(64)", "window(before=63, after=64)"):
        result = found(text, 1280)
        for change in result.changes:
            here = Side(line("n_text"), 0, 1280, 1280)
            table = seen(change.measure.mask, here, here)
            touched = sum(
                bool(table[i : i + 64, j : j + 64].any())
                for i in range(0, 1280, 64)
                for j in range(0, 1280, 64)
            )
            assert change.measure.executed == touched * 4096
            assert change.measure.visible == int(table.sum())
            assert change.work == change.measure.executed / result.now.executed - 1


def test_prices_are_those_of_the_plans() -> None:
    names = "START CALL MASKED SHORT SHORTER ROW ORDER CORNER BAND".split()
    for name in names:
        assert getattr(speed, name) == getattr(sparse_calls, f"_{name}"), name
    assert speed.MARGIN == sparse_plan._MARGIN
    of_native = {"START": "_START", "PAIR": "_PAIR", "KEY": "_KEY", "QUERY": "_ROW"}
    for name, there in {**of_native, **{x: x for x in ("GROUP", "VECTOR", "BLOCK")}}.items():
        assert getattr(speed, name) == getattr(sparse_groups, there), name
    assert pace._SURER == speed.SURER
    assert (native._LEAST, native.WIDEST) == (speed.LEAST, speed.WIDEST)


CASES: list[tuple[str, Geometry, int]] = [
    ("causal & window(before=511)", line("n"), 4096),
    ("causal & window(before=127)", line("n"), 1024),
    ("causal & window(before=255) | global(4)", line("n"), 2048),
    ("window(before=127, after=128)", line("n"), 4096),
    ("dilated(step=4, reach=512)", line("n"), 2048),
    ("strided(8)", line("n"), 2048),
    ("block(100)", line("n"), 2048),
    ("prefix(128) | causal", line("n"), 1024),
    ("causal & block(512)", line("n"), 2048),
    ("window(before=300, after=300)", line("n"), 512),
    ("window2d(7)", grid(48, 48), 48 * 48),
    ("shifted_window(size=8, shift=4)", grid(48, 48), 48 * 48),
    ("axial(row)", grid(48, 48), 48 * 48),
    ("frame", volume(8, 14, 14), 8 * 196),
]
_NAMES = itertools.count()


def planned(text: str, geometry: Geometry, tokens: int) -> tuple[float, Order]:
    """How many times as cheap as one call the sparse plan of a CPU is; in which kind of order."""
    name, own = f"tuned_{next(_NAMES)}", Segment("x", geometry)
    mask = SequenceMask((own,), (own,), (("x", "x", parse(text)),))
    install(name, mask)
    lengths = tuple(tokens for _ in mask.parameters)
    plans = [sparse_plan._sparse_plan(name, lengths, tokens, rows) for rows in (None, 32)]
    dense = sparse_calls._START + Call(0, tokens, ((0, tokens, 0),)).cost(8, 64)
    return dense / min(plan.cost(8, 64) for plan in plans), arranged(mask, "x")


def test_predicted_speeds_are_near_those_of_plans_and_in_their_order() -> None:
    """Within a factor of 1.4; of two plans whose speeds are further apart, the faster is told."""
    real, predicted = [], []
    for text, geometry, tokens in CASES:
        ratio, order = planned(text, geometry, tokens)
        mask, here = parse(text), Side(geometry, 0, tokens, tokens)
        tile = tiled(order, geometry, frozenset(patterns(mask)), 64)
        counted = tiles(mask, here, here, (tile, tile))
        assert counted is not None
        parts = (pieces(counted, (here, here), (tile, tile)),)
        work = speed.Work(tokens, tokens, 8 * 64, "mask", 8)
        real.append(ratio)
        predicted.append(speed.speed(work, work.by_calls(parts, moved=order != ROWS)))
        assert 1 / 1.4 < predicted[-1] / ratio < 1.4, (text, predicted[-1], ratio)
    for a, b in itertools.combinations(range(len(CASES)), 2):
        if max(real[a], real[b]) > 1.4 * min(real[a], real[b]):
            assert (real[a] > real[b]) == (predicted[a] > predicted[b]), (CASES[a], CASES[b])


def _shares(stack: ir.Stack, parts: list[list[int]]) -> Iterator[Fraction]:
    """Of all heads of all layers, those that each part stands for; head 0 begins another kind."""
    kinds = [stack.order[place % len(stack.order)] for place in range(stack.depth)]
    number = -1
    for heads in parts:
        number += heads[0] == 0
        layers = Fraction(kinds.count(number), stack.depth)
        yield layers * Fraction(len(heads), stack.attentions[number].heads)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_attention_of_a_spec_is_there_and_its_counts_agree_with_the_costs(path: Any) -> None:
    plan = mmspec.plan(path)
    report = tune(plan, {})
    figures = json.loads(json.dumps(report.as_dict()))
    assert figures["tokens"] == {item.name: item.tokens.max for item in plan.inputs}
    fusions = [
        node.stream
        for node in plan.nodes
        if isinstance(node, ir.Fuse) and isinstance(node.fusion, ir.CrossAttention)
    ]
    parts = figures["attentions"]
    assert [x["stream"] for x in parts if x["kind"] == "fusion"] == fusions
    longest = costs.tokens(plan, {})
    for stack in plan.stacks():
        own = [x for x in parts if (x["stream"], x["kind"]) == (stack.stream, "stream")]
        sites = (site for site in stack.attentions if site.own)  # a `cross` sees all there is
        heads = [head for site in sites for head in range(site.heads)]
        assert [head for x in own for head in x["heads"]] == heads
        shares = [*_shares(stack, [x["heads"] for x in own])]
        visible = sum(share * x["visible"] for share, x in zip(shares, own, strict=True))
        assert visible == costs.visible_pairs(plan, stack.stream).evaluate(longest)
        rows = [
            next(r for r in x["tiles"] if (r["order"], r["tile"]) == ("row-major", [64, 64]))
            for x in own
        ]
        executed = sum(share * r["executed"] for share, r in zip(shares, rows, strict=True))
        assert executed == executed_pairs(plan, stack.stream, longest)
        for each in own:
            assert len(each["tiles"]) % len(TILES) == 0
            for row in each["tiles"]:
                assert 0 <= row["inside"] <= row["touched"]


def computed(sequence: SequenceMask, own: Segment, tokens: int) -> int:
    """Pairs in the tiles that the compiler's loops go through, tile by tile of queries."""
    place = layout(sequence, own)
    tile = place.sides if isinstance(place, Boxes) else 64
    mask, geometry = sequence.mask(own.name, own.name), own.geometry
    if isinstance(place, Classes):
        mask, geometry = place.inner, line("m")
    loops = schedule_of(mask, geometry, geometry, (tile, tile), turned=False)
    step = place.step or 1 if isinstance(place, Classes) else 1
    lengths = {"m": tokens // step} if step > 1 else dict(own.geometry.lengths(tokens))
    rows = prod(linear_tiles(loops.relation.query, loops.query_tile, lengths))
    runs = (run for at in range(rows) for run in loops.runs(at, lengths))
    each = step * prod(loops.query_tile) * prod(loops.key_tile)
    return each * sum(stop - start for start, stop, _ in runs)


@pytest.mark.parametrize(
    ("text", "geometry", "tokens", "order"),
    [
        ("causal & window(before=100)", line("n_text"), 1000, "row-major"),
        ("window2d(3) | global(1)", grid(21, 37), 21 * 37, "boxes"),
        ("window3d(1)", volume("n_text", 7, 9), 63 * 11, "boxes"),
        ("causal & window(before=80)", volume("n_text", 7, 9), 63 * 11, "bands"),
        ("frame", volume("n_text", 7, 9), 63 * 11, "boxes"),
        ("dilated(step=4, reach=90) & causal", line("n_text"), 640, "classes of step 4"),
        ("strided(4) & block(96)", line("n_text"), 640, "classes of step 4"),
    ],
)
def test_the_order_of_the_compiler_computes_what_the_compiler_says(
    text: str, geometry: Geometry, tokens: int, order: str
) -> None:
    result = found(text, tokens, geometry)
    own = Segment("text", geometry)
    sequence = SequenceMask((own,), (own,), (("text", "text", parse(text)),))
    assert result.now.executed == computed(sequence, own, tokens)
    here = Side(geometry, 0, tokens, tokens)
    shown = Shown(result.shown.query, result.shown.key, parse(text), (here, here))
    about = "text", "stream", (0, 4), 4, 16
    attention = Attention(*about, (here,), (here,), (shown,), sequence, True)
    assert str(attention.compiled) == order


SPEC = """
mmspec: 1
name: own
dims: {{d: 32}}
modalities:
  text: {{kind: tokens, vocab: 31, length: {{max: 2048}}}}
  image: {{kind: image, size: [32, 32], patch: 4, optional: true}}
  audio: {{kind: audio, features: 5, rate: 100 Hz, length: {{max: 640}}, patch: 2}}
streams:
  text: {{from: text, depth: 1, width: d, heads: 4, attention: "{text}"}}
  joint:
    from: {{fusion: cross-attention, of: [text, image, audio],
      attention: {{text -> image: full, text -> audio: global(7)}}}}
    depth: 1
    width: d
    heads: 4
heads:
  value: {{from: joint, kind: regressor, outputs: 2}}
"""


Write = Callable[[str], Path]


@pytest.fixture
def written(tmp_path: Path) -> Write:
    """A spec whose stream of text has a mask."""

    def write(text: str) -> Path:
        path = tmp_path / "own.yaml"
        path.write_text(SPEC.format(text=text), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("text", "words", "marked", "loops"),
    [
        ("causal & window(before=127)", "sparse, row-major", True, True),
        ("causal", "the kernel's own causal mask", False, False),
        ("full", "every query sees every key", False, False),
        ("strided(step=2) | causal", "one dense call is predicted", False, True),
        ("random(2)", "compiled: sparse, row-major", True, True),
        ("random(30)", "compiled: sparse, row-major", True, True),
    ],
)
def test_what_is_said_to_be_compiled_is_what_is_emitted(
    written: Write, text: str, words: str, marked: bool, loops: bool
) -> None:
    path = written(text)
    plan = mmspec.plan(path)
    first = advise(plan, lengths_of(plan, {}), native=False)[0]
    assert words in first.compiled
    assert any(row.compiled for row in first.rows) == marked
    emitted = driver.run(path).files["attention.py"]
    assert ("def text_mask_blocks" in emitted) == loops


CAUSAL = """
mmspec: 1
name: own
modalities: {text: {kind: tokens, vocab: 31, length: {max: 90}}}
streams:
  text: {from: text, depth: 1, width: 8, heads: 2, attention: causal}
  late: {from: text, depth: 1, width: 8, heads: 2, attention: causal & document}
  joint:
    from: {fusion: cross-attention, of: [text, late], attention: causal}
    depth: 1
    width: 8
    heads: 4
    attention: [{heads: 3, mask: causal}, {heads: 1, mask: window(before=3)}]
heads: {value: {from: joint, kind: regressor, outputs: 2}}
"""


def test_a_causal_mask_is_the_kernels_own_only_where_the_model_leaves_it_to_that(
    tmp_path: Path,
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(CAUSAL, encoding="utf-8")
    plan = mmspec.plan(path)
    said = {
        f"{item.attention.stream} {item.attention.kind}": "own causal mask" in item.compiled
        for item in advise(plan, lengths_of(plan, {}))
    }
    emitted = driver.run(path).files["attention.py"]
    assert {name for name, own in said.items() if own} == {"text stream"}
    assert "def text_mask(" not in emitted
    for name in ("late_mask", "joint_fusion_mask", "joint_mask_1", "joint_mask_2"):
        assert f"def {name}(" in emitted or f"\n{name} = " in emitted  # the same as another


def test_lengths_are_in_tokens_or_frames_and_absent_ones_see_nothing(written: Write) -> None:
    plan = mmspec.plan(written("causal & window(before=127)"))
    assert lengths_of(plan, {}) == {"text": 2048, "image": 64, "audio": 320}
    given = {"text": 300, "image": 0, "audio": 99}
    assert lengths_of(plan, given) == {"text": 300, "image": 0, "audio": 50}
    own, cross, _ = advise(plan, lengths_of(plan, given))
    assert own.attention.tokens == (300, 300)
    assert own.attention.visible == 128 * 129 // 2 + (300 - 128) * 128
    assert cross.attention.tokens == (300, 50)
    assert cross.attention.visible == 300 * 50 - (300 - 7) * (50 - 7)


def test_a_sparse_pattern_that_does_not_pay_at_these_lengths_is_said_to_be_dense(
    written: Write,
) -> None:
    plan = mmspec.plan(written("causal & window(before=127)"))
    short = advise(plan, lengths_of(plan, {"text": 100}))[0]
    assert "one dense call is predicted to be cheaper" in short.compiled
    assert not any(row.compiled for row in short.rows)
