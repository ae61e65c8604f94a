"""The adviser's speeds where native code runs: what it computes, and which way a machine takes."""

from __future__ import annotations

import itertools
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import mmspec
from mmspec.compiler.load_pattern import install
from mmspec.compiler.relations.meaning.geometry import Geometry, grid, line, volume
from mmspec.compiler.relations.meaning.sequence import SequenceMask
from mmspec.compiler.relations.meaning.sequence import Side as Segment
from mmspec.compiler.runtime import native_build, sparse_calls, sparse_pattern
from mmspec.compiler.runtime.sparse_calls import Call
from mmspec.compiler.runtime.sparse_groups import Groups, groups_of
from mmspec.expressions.mask import parse, patterns
from mmspec.verify.seen import Side, seen
from mmspec.verify.tune import machine, speed
from mmspec.verify.tune.advice import GROUPS, advise, lengths_of, met
from mmspec.verify.tune.arranged import arranged
from mmspec.verify.tune.count import met as counted
from mmspec.verify.tune.counted import met_by_pairs
from mmspec.verify.tune.order import ROWS, Order, orders, tiled
from mmspec.verify.tune.report import tune

Mask = tuple[str, Geometry, int]

SPATIAL: list[Mask] = [
    ("window3d(2)", volume(16, 16, 16), 4096),
    ("window2d(5)", grid(64, 64), 4096),
    ("window2d(5)", grid(32, 32), 1024),
    ("window2d(2)", grid(64, 64), 4096),
    ("window2d(2)", grid(32, 32), 1024),
    ("shifted_window(size=7, shift=3)", grid(56, 56), 3136),
    ("shifted_window(size=7, shift=3)", grid(35, 35), 1225),
]
"""Measured, the compiler's order is 1.2 to 2.3 times as fast natively as that of the tokens."""

LINES: list[Mask] = [
    ("causal & window(before=511)", line("n"), 4096),
    ("causal & window(before=255) | global(4)", line("n"), 2048),
    ("dilated(step=4, reach=512)", line("n"), 2048),
    ("strided(8)", line("n"), 2048),
    ("block(100)", line("n"), 2048),
    ("prefix(130) | causal", line("n"), 1000),
    ("axial(row)", grid(48, 48), 48 * 48),
]
_NAMES = itertools.count()


@pytest.fixture(autouse=True)
def unforced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices decide, whatever this process was started with."""
    monkeypatch.delenv("MMSPEC_TILES", raising=False)


def masked(text: str, geometry: Geometry) -> SequenceMask:
    own = Segment("x", geometry)
    return SequenceMask((own,), (own,), (("x", "x", parse(text)),))


@cache
def compiled(text: str, geometry: Geometry, tokens: int) -> tuple[Groups, Order]:
    """The groups of what is emitted, and the order that it lays the tokens in."""
    name, mask = f"tuned_natively_{next(_NAMES)}", masked(text, geometry)
    install(name, mask)
    return groups_of(name, tuple(tokens for _ in mask.parameters), tokens), arranged(mask, "x")


@cache
def as_they_come(text: str, geometry: Geometry, tokens: int) -> Groups:
    """The groups of the tokens in their own order, whatever the compiler would do."""
    name, here = f"tuned_natively_{next(_NAMES)}", Side(geometry, 0, tokens, tokens)
    table = torch.from_numpy(seen(parse(text), here, here).copy())
    blocks = [
        (start, min(start + 64, tokens), [(0, tokens, False)]) for start in range(0, tokens, 64)
    ]
    pattern = sparse_pattern.Pattern(lambda *_: blocks, lambda q, k, *_: table[q, k])
    sparse_pattern.register(name, pattern)
    return groups_of(name, (), tokens)


def predicted(text: str, geometry: Geometry, tokens: int, order: Order) -> speed.Met:
    mask, here = parse(text), Side(geometry, 0, tokens, tokens)
    cut = tuple(tiled(order, geometry, frozenset(patterns(mask)), size) for size in GROUPS)
    found = counted(mask, here, here, cut, cut[0].single)
    assert found is not None
    return met(cut, found)


def work(tokens: int) -> speed.Work:
    return speed.Work(tokens, tokens, 8 * 64, "mask", 8)


def ratio(groups: Groups, tokens: int) -> float:
    """How many times as cheap as one call under a mask."""
    dense = sparse_calls._START + Call(0, tokens, ((0, tokens, 0),)).cost(8, 64)
    return dense / groups.cost(8, 64)


@pytest.mark.parametrize(("text", "geometry", "tokens"), SPATIAL + LINES)
def test_speeds_are_those_of_the_groups_that_native_code_gets(
    text: str, geometry: Geometry, tokens: int
) -> None:
    found, order = compiled(text, geometry, tokens)
    for groups, of in ((found, order), (as_they_come(text, geometry, tokens), ROWS)):
        told = predicted(text, geometry, tokens, of)
        assert told.keys == groups.met
        assert told.pairs == pytest.approx(groups.pairs, rel=0.03)
        cost = work(tokens).by_native_code((told,))
        assert speed.speed(work(tokens), cost) == pytest.approx(ratio(groups, tokens), rel=0.03)


def test_boxes_that_a_grid_only_partly_fills_cost_at_most_what_is_told() -> None:
    """Boxes at the border are told as if they were full; the packed ones are somewhat cheaper."""
    frame = "frame", volume(8, 14, 14), 8 * 196
    groups, order = compiled(*frame)
    told = predicted(*frame, order)
    assert told.keys == groups.met
    assert groups.pairs <= told.pairs < 1.25 * groups.pairs


SPEC = """
mmspec: 1
name: natively
modalities: {{{modality}}}
streams:
  x: {{from: x, depth: 1, width: 256, heads: 4, attention: "{mask}"}}
heads:
  value: {{from: x, kind: regressor, outputs: 1}}
"""

IMAGE = "x: {{kind: image, size: [{0}, {0}], patch: 4}}"
VIDEO = "x: {kind: video, size: [64, 64], patch: 4, length: {max: 16}, rate: 25 Hz}"
TEXT = "x: {kind: tokens, vocab: 31, length: {max: 4096}}"


def plan_of(tmp_path: Path, mask: str, modality: str) -> mmspec.compiler.ir.Plan:
    path = tmp_path / "natively.yaml"
    path.write_text(SPEC.format(mask=mask, modality=modality), encoding="utf-8")
    return mmspec.plan(path)


@pytest.mark.parametrize(
    ("mask", "modality"),
    [
        ("window2d(2)", IMAGE.format(256)),
        ("window2d(5)", IMAGE.format(256)),
        ("shifted_window(size=7, shift=3)", IMAGE.format(224)),
        ("window3d(2)", VIDEO),
    ],
)
def test_the_order_that_is_measured_to_be_faster_is_told_to_be(
    mask: str, modality: str, tmp_path: Path
) -> None:
    """By native code, which moves no token; calls move them, so that there it is not for all."""
    plan = plan_of(tmp_path, mask, modality)
    (one,) = advise(plan, lengths_of(plan, {}), native=True)
    assert one.way == "native" and "by native code" in one.compiled
    own, plain = one.row(one.order), one.row(ROWS)
    assert own.order != ROWS and own.compiled
    assert own.speed and plain.speed and own.speed > 1.3 * plain.speed
    assert one.best == own
    (other,) = advise(plan, lengths_of(plan, {}), native=False)
    assert other.way == "calls" and "by calls of torch's kernels" in other.compiled
    told = [(row.order, row.tile, row.tiles) for row in one.rows]
    assert [(row.order, row.tile, row.tiles) for row in other.rows] == told
    if mask in ("window2d(2)", "window3d(2)"):
        own, plain = other.row(other.order), other.row(ROWS)
        assert own.speed and plain.speed and own.speed < plain.speed


def test_the_report_says_by_whose_prices(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mmspec.cli import console

    plan = plan_of(tmp_path, "window2d(5)", IMAGE.format(256))
    for native, way, words in (
        (True, "native", ["by the prices of native code", "times as fast, boxes instead of row-"]),
        (False, "calls", ["by the prices of calls of torch's kernels", "times fewer tiles than"]),
    ):
        report = tune(plan, {}, native)
        (one,) = json.loads(json.dumps(report.as_dict()))["attentions"]
        assert (one["runs"], one["prices"]) == (way, way)
        report.render(console.stdout())
        text = " ".join(capsys.readouterr().out.split())
        assert all(word in text for word in words), text


def test_small_attention_and_wide_heads_do_without_native_code() -> None:
    for heads, tokens, width, way in (
        (4, 128, 64, "native"),
        (4, 127, 64, "calls"),
        (1, 4096, 256, "native"),
        (1, 4096, 257, "calls"),
    ):
        found = speed.Work(tokens, tokens, heads * width, "mask", heads)
        assert found.way(native=True) == way
        assert found.way(native=False) == "calls"


@pytest.mark.parametrize(("value", "marked"), [("0", False), ("1", True), ("", True)])
def test_a_way_that_is_forced_is_said(
    value: str, marked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMSPEC_TILES", value)
    plan = plan_of(tmp_path, "causal & window(before=127)", TEXT)
    (one,) = advise(plan, lengths_of(plan, {}), native=True)
    assert any(row.compiled for row in one.rows) == marked
    assert (one.runs, one.way) == ("native" if marked else "dense", "native")
    assert ("MMSPEC_TILES=0 asks" in one.compiled) == (value == "0")


@pytest.mark.parametrize(
    ("text", "geometry", "tokens"),
    [
        ("causal & window(before=40) | global(3)", line("n"), 1500),
        ("dilated(step=3, reach=50)", line("n"), 1301),
        ("window2d(2)", grid(33, 41), 33 * 41),
        ("shifted_window(size=7, shift=3)", grid(33, 41), 33 * 41),
        ("axial(column) | global(2)", grid(33, 41), 33 * 41),
        ("window3d(1)", volume("n", 9, 14), 11 * 126),
        ("causal & window(before=80)", volume("n", 7, 14), 12 * 98),
    ],
)
def test_keys_that_groups_see_are_those_of_the_table(
    text: str, geometry: Geometry, tokens: int
) -> None:
    """By closed forms, in each order of the adviser, and by looking at all pairs."""
    mask, here = parse(text), Side(geometry, 0, tokens, tokens)
    table, shown = seen(mask, here, here), frozenset(patterns(mask))
    assert tokens**2 > 2**20
    for order in orders([(geometry, shown)]):
        cut = tuple(tiled(order, geometry, shown, size) for size in GROUPS)
        expected = tuple(
            sum(int(table[numbers == one].any(0).sum()) for one in np.unique(numbers))
            for numbers in (tiling.numbers(here) for tiling in cut)
        )
        assert counted(mask, here, here, cut, cut[0].single) == expected, order
        assert met_by_pairs(mask, here, here, cut) == expected, order


FLAGS = "processor : 0\nflags\t\t: fpu avx {} sse\n"


@pytest.mark.parametrize(
    ("flags", "variables", "there"),
    [
        ("fma avx2 avx512f avx512vl", {}, True),
        ("avx2", {}, False),
        ("", {}, False),
        ("fma avx2", {"MMSPEC_NATIVE": "0"}, False),
        ("fma avx2", {"MMSPEC_NATIVE": "1"}, True),
        ("fma avx2", {"ATEN_CPU_CAPABILITY": "avx2"}, True),
        ("fma avx2", {"ATEN_CPU_CAPABILITY": "default"}, False),
        ("fma avx2", {"ATEN_CPU_CAPABILITY": "avx512"}, True),
        ("fma avx2", {"CXX": "no-such-compiler"}, False),
        ("fma avx2", {"CXX": "'"}, False),
        ("fma avx2", {"CXX": "other -m64"}, True),
        ("fma avx2", {"PATH": ""}, False),
    ],
)
def test_whether_there_is_native_code_is_told_by_the_machine(
    flags: str,
    variables: dict[str, str],
    there: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And its compiler is there exactly where the one that builds native code is."""
    for name in ("MMSPEC_NATIVE", "ATEN_CPU_CAPABILITY", "CXX"):
        monkeypatch.delenv(name, raising=False)
    for name in ("clang++", "other"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    facts = tmp_path / "cpuinfo"
    facts.write_text(FLAGS.format(flags))
    monkeypatch.setattr(machine, "_FACTS", facts)
    assert machine.has_native_code() == there
    try:
        found = bool(native_build._compiler())
    except (RuntimeError, ValueError):
        found = False
    assert machine._has_compiler() == found
    monkeypatch.setattr(machine, "_FACTS", tmp_path / "nothing")
    assert not machine.has_native_code()


def test_the_processor_is_known_as_torch_knows_it() -> None:
    capability = torch.backends.cpu.get_cpu_capability()
    assert machine._has_wide_vectors() == (capability in ("AVX2", "AVX512"))
