"""Costs against the compiled model: its parameters, torch's operators, what autograd keeps."""

from __future__ import annotations

import time
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cost_specs import EXTRA, SHIPPED
from flop_counter import FlopCounter
from numpy.typing import NDArray
from test_costs_pairs import seen
from test_costs_visible import sees
from torch import Tensor, nn

import mmspec
from mmspec.compiler import ir
from mmspec.compiler.runtime import native_build
from mmspec.expressions.mask import Mask
from mmspec.verify import costs as costing
from mmspec.verify import faults
from mmspec.verify.analyze import analyze

NAMES = [*(path.stem for path in SHIPPED), *EXTRA]
Lengths = Mapping[str, int]


@pytest.fixture(params=NAMES)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Every shipped spec, and the two written for these tests."""
    if request.param not in EXTRA:
        return next(path for path in SHIPPED if path.stem == request.param)
    return _write(tmp_path / f"{request.param}.yaml", EXTRA[request.param])


def lengths(plan: ir.Plan, numerator: int, denominator: int) -> dict[str, int]:
    """Raw lengths: a fraction of each modality's longest, no whole number of tokens."""
    longest = {x.name: x.longest for x in plan.inputs if x.longest}
    return {name: max(1, n * numerator // denominator) for name, n in longest.items()}


def inputs(plan: ir.Plan, batch: int, raw: Lengths, device: str) -> dict[str, Tensor]:
    """Zeros of every input's shape."""
    made = {}
    for given in plan.inputs:
        sizes = {"B": batch, "F": raw.get(given.name, 0), "T": raw.get(given.name, 0)}
        shape = [sizes[size] if isinstance(size, str) else size for size in given.shape]
        dtype = torch.int64 if given.dtype == "int64" else torch.float32
        made[given.name] = torch.zeros(*shape, dtype=dtype, device=device)
    return made


def at(plan: ir.Plan, batch: int, raw: Lengths) -> dict[str, int]:
    """The symbols' values."""
    return costing.tokens(plan, raw) | {"B": batch}


def test_parameters_equal_the_model(path: Path) -> None:
    with torch.device("meta"):
        model = mmspec.compile(path)()
    found = costing.costs(mmspec.plan(path))
    assert found.parameters == sum(weight.numel() for weight in model.parameters())
    modules = dict(model.named_modules())
    for part in found.parts:
        if (
            part.name in modules
            and "norm" not in part.kind
            and part.concern in ("modality", "head")
        ):
            own = sum(weight.numel() for weight in modules[part.name].parameters())
            assert part.parameters == own, part.name


@pytest.mark.parametrize(("batch", "numerator"), [(1, 3), (3, 2)])
def test_dense_flops_equal_a_count_of_operators(path: Path, batch: int, numerator: int) -> None:
    plan = mmspec.plan(path)
    raw = lengths(plan, numerator, 3)
    with torch.device("meta"):
        model = mmspec.compile(path)()
    with FlopCounter() as counter, torch.no_grad():
        model(**inputs(plan, batch, raw, "meta"))
    found = costing.costs(plan).flops_dense.evaluate(at(plan, batch, raw))
    assert found == counter.total, dict(counter.by)
    if batch == 1:
        assert costing.flops(plan, raw) == found


def test_flops_without_optional_inputs(path: Path) -> None:
    """What is absent costs nothing: length 0."""
    plan = mmspec.plan(path)
    optional = [given.name for given in plan.inputs if given.optional]
    absent = optional if len(optional) < len(plan.inputs) else optional[1:]
    raw = lengths(plan, 1, 2) | dict.fromkeys(absent, 0)
    given = {k: v for k, v in inputs(plan, 1, raw, "meta").items() if k not in absent}
    with torch.device("meta"):
        model = mmspec.compile(path)()
    with FlopCounter() as counter, torch.no_grad():
        model(**given)
    assert costing.flops(plan, raw) == counter.total, dict(counter.by)


def kept(model: nn.Module, given: Mapping[str, Tensor]) -> int:
    """Bytes of the float storages that autograd keeps, without parameters and inputs."""
    known = {x.untyped_storage().data_ptr() for x in (*model.parameters(), *given.values())}
    held: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in known and tensor.is_floating_point():
            held[place] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(**given)
    return sum(tensor.untyped_storage().nbytes() for tensor in held.values())


def test_activation_bytes_equal_what_autograd_keeps(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without native code, which keeps less, and is taken where it is measured to be faster."""
    monkeypatch.setattr(native_build, "library", lambda: None)
    if path.stem == "gpt2":
        path = _small_gpt2(path, tmp_path)
    dense = path.stem == "local_global"  # its tiles keep less: the next test
    assert _measured(path, "sdpa" if dense else "auto") == _expected(path)


@pytest.mark.parametrize("name", ["fronted", "marked", "sides", "stepped"])
def test_activation_bytes_of_what_leads_is_added_pooled_and_stepped_through(name: str) -> None:
    path = Path(faults.__file__).parent / "small" / f"{name}.yaml"
    assert _measured(path, "sdpa") == _expected(path)


def test_tiles_keep_no_second_order_of_what_rotated_heads_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Four local layers, 341 tokens of width 64: SDPA's rows are copied, those of tiles not.

    By native code the two others pass over tiles as well.
    """
    monkeypatch.setattr(native_build, "library", lambda: None)
    path = next(path for path in SHIPPED if path.stem == "local_global")
    once = 4 * 341 * 64 * 4
    two, five = _expected(path)
    assert _measured(path, "tiles") == [two - once, five - 3 * once]


def _measured(path: Path, backend: str) -> list[int]:
    """Bytes kept from 2 to 3 and to 5 samples: what all samples share cancels out."""
    plan, model = mmspec.plan(path), mmspec.compile(path, backend=backend)().train()
    two, *more = (kept(model, inputs(plan, n, lengths(plan, 2, 3), "cpu")) for n in (2, 3, 5))
    return [found - two for found in more]


def _expected(path: Path) -> list[int | Fraction]:
    plan = mmspec.plan(path)
    formula, raw = costing.costs(plan).activation_bytes, lengths(plan, 2, 3)
    two, *more = (formula.evaluate(at(plan, n, raw)) for n in (2, 3, 5))
    return [found - two for found in more]


def _small_gpt2(path: Path, folder: Path) -> Path:
    """The same spec with two narrow blocks: 124 M numbers are too many for a quick test."""
    changes = {"d: 768": "d: 24", "depth: 12": "depth: 2", "vocab: 50257": "vocab: 57"}
    changes |= {"max: 1024": "max: 24", "params == 124439808": "params <= 1M"}
    text = path.read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return _write(folder / "small.yaml", text)


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _sizes(segments: tuple[ir.Segment, ...], tokens: Lengths) -> dict[str, int]:
    """Tokens of segments, by name."""
    return {x.name: tokens[x.tokens.symbol] if x.tokens.symbol else x.tokens.max for x in segments}


def sites(stack: ir.Stack) -> list[ir.Attention]:
    """All attention of a stream to itself, layer by layer."""
    kinds = [stack.variants[stack.order[i % len(stack.order)]] for i in range(stack.depth)]
    return [site for kind in kinds for site in kind.attentions if site.own]


def tables(plan: ir.Plan, stack: ir.Stack, raw: Lengths, site: ir.Attention) -> NDArray[np.bool_]:
    """All pairs of a stream's sequence at a site: bool [heads, T, T], segment by segment."""
    tokens = costing.tokens(plan, raw)
    segments = {segment.name: segment for segment in stack.source.segments}
    sizes = _sizes(stack.source.segments, tokens)
    starts = dict(zip(sizes, np.cumsum([0, *sizes.values()]), strict=False))
    found = []
    for group in site.groups:
        whole = np.zeros((sum(sizes.values()),) * 2, dtype=np.bool_)
        for query, key, mask in group.masks:
            rows = slice(starts[query], starts[query] + sizes[query])
            columns = slice(starts[key], starts[key] + sizes[key])
            ends = segments[query], segments[key]
            whole[rows, columns] = _shown(mask, ends, (sizes[query], sizes[key]))
        found += [whole] * group.heads
    return np.stack(found)


def _shown(
    mask: Mask, ends: tuple[ir.Segment, ir.Segment], sizes: tuple[int, int]
) -> NDArray[np.bool_]:
    """Which pairs of two segments are visible: by indices alone, or where tokens have places."""
    if all(len(segment.geometry.axes) == 1 for segment in ends):
        return seen(mask, *sizes)
    rows, columns = (
        [_place(segment, index) for index in range(size)]
        for segment, size in zip(ends, sizes, strict=True)
    )
    return np.array([[sees(mask, q, k) for k in columns] for q in rows], dtype=np.bool_)


def _place(segment: ir.Segment, index: int) -> dict[str, Any]:
    """A token's index, coordinates by name and time in milliseconds."""
    found: dict[str, Any] = {"index": index}
    rest = index
    for axis in reversed(segment.geometry.axes[1:]):
        assert isinstance(axis.size, int)
        rest, found[axis.name] = divmod(rest, axis.size)
    found[segment.geometry.axes[0].name] = rest
    if segment.geometry.clock:
        found["time"] = rest * segment.geometry.clock.period
    return found


@pytest.mark.parametrize("numerator", [1, 2, 3])
def test_visible_pairs_equal_a_count(path: Path, numerator: int) -> None:
    plan = mmspec.plan(path)
    raw = lengths(plan, numerator, 3)
    for stack in plan.stacks():
        found = costing.visible_pairs(plan, stack.stream).evaluate(at(plan, 1, raw))
        shown = [tables(plan, stack, raw, site) for site in sites(stack)]
        expected = sum(Fraction(int(table.sum()), len(table)) for table in shown)
        assert found * stack.depth == expected, stack.stream


def test_useful_flops_are_dense_ones_less_hidden_pairs(path: Path) -> None:
    """Each pair a stack's mask hides saves a score and a weighing, in each head, layer and step."""
    plan = mmspec.plan(path)
    raw = lengths(plan, 2, 3)
    hidden = 0
    for stack in plan.stacks():
        steps = stack.halting.most_steps if stack.halting else 1
        for site in sites(stack):
            unseen = int((~tables(plan, stack, raw, site)).sum())
            hidden += 4 * unseen * site.head_width * steps
    hidden += sum(_hidden_cross(plan, node, raw) for node in plan.nodes)
    assert costing.flops(plan, raw) - costing.flops(plan, raw, useful=True) == hidden


def _hidden_cross(plan: ir.Plan, node: ir.Node, raw: Lengths) -> int:
    """FLOPs on pairs that a cross-attention fusion hides."""
    if not isinstance(node, ir.Fuse) or not isinstance(node.fusion, ir.CrossAttention):
        return 0
    tokens = costing.tokens(plan, raw)
    queries = _sizes(node.sources[0].segments, tokens)
    keys = _sizes(tuple(x for value in node.sources[1:] for x in value.segments), tokens)
    (group,) = node.fusion.attention.groups
    shown = sum(int(seen(m, queries[q], keys[k]).sum()) for q, k, m in group.masks)
    return 4 * (sum(queries.values()) * sum(keys.values()) - shown) * node.out.width


def test_gpt2_is_the_published_one() -> None:
    """124,439,808 parameters; every layer 24 T D^2 + 4 T^2 D, and the logits 2 T D V."""
    plan = mmspec.plan(next(path for path in SHIPPED if path.stem == "gpt2"))
    assert costing.parameters(plan) == costing.parameters(plan, "text") == 124_439_808
    tokens, width, vocab = 1000, 768, 50257
    layer = 24 * tokens * width**2 + 4 * tokens**2 * width
    assert costing.flops(plan, {"text": tokens}) == 12 * layer + 2 * tokens * width * vocab
    causal = 24 * tokens * width**2 + 2 * tokens * (tokens + 1) * width
    useful = 12 * causal + 2 * tokens * width * vocab
    assert costing.flops(plan, {"text": tokens}, useful=True) == useful


def test_active_parameters_by_hand() -> None:
    """Of experts those chosen and the router, of mlps by modality one."""
    plan = mmspec.plan(next(path for path in SHIPPED if path.stem == "experts_top2"))
    idle = 2 * (8 - 2) * (2 * 48 * 96) + (4 - 1) * (2 * 48 * 192)
    assert costing.parameters(plan) - costing.active_parameters(plan) == idle
    plan = mmspec.plan(next(path for path in SHIPPED if path.stem == "experts_by_modality"))
    mlp = 40 * 80 + 80 + 80 * 40 + 40
    assert costing.parameters(plan) - costing.active_parameters(plan, "joint") == 2 * mlp + 205


def test_a_ponder_is_expected_to_stop_as_its_prior_says() -> None:
    plan = mmspec.plan(next(path for path in SHIPPED if path.stem == "ponder"))
    weights = [0.3 * 0.7**n for n in range(6)]
    mean = sum(n * w for n, w in enumerate(weights, start=1)) / sum(weights)
    assert float(costing.expected_steps(plan)["digits"]) == pytest.approx(mean)
    assert costing.expected_depth_bound(plan, "digits") == 6
    found, one = costing.costs(plan), costing.tokens(plan, {})
    part = {x.name.split(".")[-1]: x.flops_dense.evaluate(one) for x in found.parts}
    step = (part["attention"] + part["feed_forward"]) / 6
    halts = sum(min(n, 5) * w for n, w in enumerate(weights, start=1)) / sum(weights)
    expected = step * mean + part["halt"] / 5 * halts + part["total_head"]
    assert float(found.flops_expected.evaluate(one)) == pytest.approx(float(expected))


@pytest.mark.parametrize(
    ("name", "stream", "orders"),
    [
        ("gated", "text", {(("text", 1),)}),
        ("gated", "joint", {(("text", 2),)}),
        ("gated", "image", {()}),
        ("hierarchical", "audio_local", {(("audio", 1),)}),
        ("hierarchical", "whole", {()}),
        ("single_stream", "joint", {(("text", 2),)}),
        ("transformer_fusion", "joint", {(("heart", 2),), (("motion", 2),), (("note", 2),)}),
    ],
)
def test_growth_of_pairs(name: str, stream: str, orders: set[Any]) -> None:
    """Orders read off the specs; of a square of sums the products in between are left out."""
    plan = mmspec.plan(next(path for path in SHIPPED if path.stem == name))
    assert costing.pairs_growth(plan, stream) == orders


def test_exits_bound_their_depth() -> None:
    plan = mmspec.plan(next(path for path in SHIPPED if path.stem == "early_exit"))
    assert costing.expected_depth_bounds(plan, "image") == (2, 5)


def test_a_hundred_layers_are_soon_counted(tmp_path: Path) -> None:
    """The whole report of 100 streams of one layer, no two alike: closed forms and all."""
    lines = ["mmspec: 1", "name: deep", "modalities:"]
    lines.append("  text: {kind: tokens, vocab: 99, length: {max: 512}}")
    lines.append("streams:")
    for n in range(100):
        source = "text" if n == 0 else f"s{n - 1}"
        lines.append(f"  s{n}: {{from: {source}, depth: 1, width: {8 * (n + 1)}, heads: 4,")
        lines.append(f'    attention: "causal & window(before={n + 3}) | global({n % 3 + 1})"}}')
    lines.append("heads: {next: {from: s99, kind: classifier, classes: 2}}")
    plan = mmspec.plan(_write(tmp_path / "deep.yaml", "\n".join(lines)))
    analyze(mmspec.plan(SHIPPED[0])).as_dict()  # imports
    start = time.process_time()
    report = analyze(plan).as_dict()
    assert time.process_time() - start < 10  # benchmarks/compile_100.py holds it to 1
    assert len(report["pairs"]) == 100
