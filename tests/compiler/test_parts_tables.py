"""Tables on a CPU: documents and drawn blocks as intervals, and the attention that they cut."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count
from typing import Any
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from mmspec.compiler.load_pattern import install
from mmspec.compiler.parts.attention import document_spans
from mmspec.compiler.relations.meaning.geometry import line
from mmspec.compiler.relations.meaning.sequence import SequenceMask, Side
from mmspec.compiler.runtime import sparse_plan, tables
from mmspec.compiler.runtime.sparse import (
    _attended,
    _gradients,
    attend,
    attend_backward,
    sparse_attention,
)
from mmspec.compiler.runtime.sparse_calls import Plan
from mmspec.compiler.runtime.sparse_scores import Scores
from mmspec.compiler.runtime.tables import Draw, drawn, lists, samples
from mmspec.expressions.mask import parse
from mmspec.verify.reference.masks import visible
from mmspec.verify.reference.places import Token

NUMBERS = count()
MOST = {"text": 385, "sound": 200}
"""Seven blocks, and four."""
TWO = {
    "text text": "document & causal",
    "text sound": "document | prefix(3)",
    "sound text": "document & ~random(2)",
    "sound sound": "random(2) & window(60, 60)",
}
ALONE = (
    "document",
    "document & causal",
    "document & window(before=20, after=3)",
    "document | prefix(5)",
    "~document",
    "document & ~random(3)",
    "random(2)",
    "random(2) | block(64)",
    "random(3, seed=4) & causal",
    "random(3) & random(5, seed=5) | document & causal & window(before=9)",
    "random(100) & window(before=20)",
    "document & ~random(8) | random(7) & causal & random(3)",
)


def identities(data: st.DataObject, tokens: int) -> Tensor:
    """The document of each token, those of one standing together."""
    sizes = data.draw(st.lists(st.integers(0, max(tokens // 2, 1)), min_size=1, max_size=9))
    names = data.draw(st.permutations(range(len(sizes) + 1)))
    row = [name for name, size in zip(names, sizes, strict=False) for _ in range(size)]
    return torch.tensor((row + [names[-1]] * tokens)[:tokens], dtype=torch.int64)


@given(st.data(), st.lists(st.integers(0, 40), min_size=1, max_size=3))
def test_spans_are_where_the_document_of_a_query_stands(
    data: st.DataObject, sizes: list[int]
) -> None:
    known = [torch.stack([identities(data, n) for _ in range(2)]) for n in sizes]
    keys = (*known, torch.stack([identities(data, 17) for _ in range(2)]))
    found = document_spans(tuple(known), keys)
    assert found.shape == (2, len(keys), 2, sum(sizes)) and found.dtype == torch.int32
    for sample, spans_s2t in enumerate(found):
        asked = torch.cat(known, 1)[sample]
        for document_bk, (starts, stops) in zip(keys, spans_s2t, strict=True):
            place = torch.arange(document_bk.shape[1])
            inside = (starts[:, None] <= place) & (place < stops[:, None])
            assert inside.equal(asked[:, None] == document_bk[sample])


def test_of_a_document_that_stands_apart_the_first_tokens_count_from_either_side() -> None:
    """What a query sees of a key is what the key is told: gradients stay those of the values."""
    one, two = torch.tensor([[0, 0, 1, 1, 2, 0, 0]]), torch.tensor([[1, 0, 0, 3, 0]])
    there, back = document_spans((one,), (two,))[0, 0], document_spans((two,), (one,))[0, 0]
    assert there.tolist() == [[1, 1, 0, 0, 0, 0, 0], [3, 3, 1, 1, 0, 0, 0]]
    assert back.tolist() == [[2, 0, 0, 0, 0], [4, 2, 2, 0, 0]]


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 9), st.integers(0, 2**31 - 1))
def test_blocks_are_drawn_as_the_reference_draws_them(
    rows: int, blocks: int, more: int, seed: int
) -> None:
    there = blocks + more
    mask = parse(f"random(blocks={blocks}, seed={seed})")
    found = drawn(Draw(rows, blocks, there, seed))
    for row, seen in enumerate(found.tolist()):
        asked = Token(row * 64, most=there * 64)
        expected = [b for b in range(there) if visible(mask, asked, Token(b * 64, most=there * 64))]
        assert seen == expected


def test_lists_name_the_blocks_of_rows_and_the_rows_of_blocks() -> None:
    draws = Draw(7, 3, 5, 11), Draw(2, 1, 4, 0)
    found = lists(draws, torch.device("cpu")).tolist()
    for draw in draws:
        picks, found = found[: draw.rows * draw.blocks], found[draw.rows * draw.blocks :]
        ends, found = found[: draw.there + 1], found[draw.there + 1 :]
        rows, found = found[: len(picks)], found[len(picks) :]
        assert picks == drawn(draw).flatten().tolist()
        for block in range(draw.there):
            seeing = [at // draw.blocks for at, pick in enumerate(picks) if pick == block]
            assert rows[ends[block] : ends[block + 1]] == seeing
    assert found == []


def test_samples_of_the_same_documents_are_told_together() -> None:
    ids = torch.tensor([[0, 0, 1, 1, 1], [4, 4, 4, 2, 2], [7, 7, 0, 0, 0]])
    found = samples(document_spans((ids,), (ids,)))
    assert list(found.values()) == [[0, 2], [1]]
    assert [one.starts for one in found] == [(0, 2), (0, 3)]


def shown(pairs: dict[str, str], ids: dict[str, Tensor], names: list[str]) -> Tensor:
    """Who sees whom, by the reference: bool [B, q, k]."""
    batch = len(next(iter(ids.values())))
    parts = []
    for sample in range(batch):
        known = {
            name: [
                Token(at, document=int(d), most=MOST[name])
                for at, d in enumerate(ids[name][sample])
            ]
            for name in names
        }
        rows = [
            torch.cat([_seen(pairs.get(f"{a} {b}", "none"), known[a], known[b]) for b in names], 1)
            for a in names
        ]
        parts.append(torch.cat(rows))
    return torch.stack(parts)


def _seen(mask: str, queries: list[Token], keys: list[Token]) -> Tensor:
    parsed = parse(mask)
    seen = [[visible(parsed, q, k) for k in keys] for q in queries]
    return torch.tensor(seen, dtype=torch.bool).reshape(len(queries), len(keys))


def written_out(q: Tensor, k: Tensor, v: Tensor, seen_bqk: Tensor) -> Tensor:
    """softmax(q kᵀ / √w) v; rows without a key are 0."""
    k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], 1) for x in (k, v))
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~seen_bqk[:, None], -math.inf)
    weights = (scores - scores.amax(-1, keepdim=True).clamp(min=-1e9)).exp()
    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-200) @ v


def pattern(pairs: dict[str, str], names: list[str]) -> str:
    """The name of a new pattern for a sequence."""
    sides = tuple(Side(name, line(f"n_{name}"), f"n_{name}", MOST[name]) for name in names)
    asking = {name for pair, mask in pairs.items() if "document" in mask for name in pair.split()}
    known = tuple((*pair.split(), parse(mask)) for pair, mask in pairs.items())
    name = f"tables_{next(NUMBERS)}"
    install(name, SequenceMask(sides, sides, known, frozenset(asking)))  # type: ignore[arg-type]
    return name


def checked(
    pairs: dict[str, str], ids: dict[str, Tensor], margin: float, dtype: torch.dtype
) -> None:
    """Values and gradients are those of the softmax written out, and blind queries give 0."""
    names = list(ids)
    sizes = [ids[name].shape[1] for name in names]
    queries, batch = sum(sizes), len(ids[names[0]])
    torch.manual_seed(queries)
    q = torch.randn(batch, queries, 4, 4, dtype=dtype).transpose(1, 2)
    k, v = (torch.randn(batch, 2, queries, 4, dtype=dtype) for _ in "kv")
    leaves = [x.requires_grad_() for x in (q, k, v)]
    asking = [n for n in names if any(n in p.split() for p, m in pairs.items() if "document" in m)]
    spans = document_spans(*(tuple(ids[name] for name in asking),) * 2) if asking else None
    with patch.object(sparse_plan, "_MARGIN", margin):
        name = pattern(pairs, names)
        found = sparse_attention(q, k, v, (name, sizes), None, (spans, spans))
        grad = torch.randn(found.shape, dtype=dtype)
        gradients = torch.autograd.grad(found, leaves, grad)
    seen = shown(pairs, ids, names)
    precise = [x.detach().double().requires_grad_() for x in leaves]
    expected = written_out(precise[0], precise[1], precise[2], seen)
    wanted = torch.autograd.grad(expected, precise, grad.double())
    tolerance = {torch.float64: 1e-11, torch.float32: 1e-5, torch.float16: 2e-2}[dtype]
    for one, other in zip((found, *gradients), (expected, *wanted), strict=True):
        assert (one.double() - other).abs().max() <= tolerance
    blind = ~seen.any(2)
    assert not found.transpose(1, 2)[blind].any()
    assert not gradients[0].transpose(1, 2)[blind].any()


@pytest.mark.parametrize("mask", ALONE)
@pytest.mark.parametrize("margin", [1e9, 0.0])
def test_attention_is_the_softmax_over_what_the_reference_shows(mask: str, margin: float) -> None:
    rows = [[0] * 40 + [1] + [2] * 23 + [3] * 74, [5] * 3 + [1] * 100 + [0] * 35]
    checked({"text text": mask}, {"text": torch.tensor(rows)}, margin, torch.float64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_attention_in_other_precisions(dtype: torch.dtype) -> None:
    rows = torch.tensor([[0] * 40 + [2] * 23 + [3] * 74])
    checked({"text text": "document & causal"}, {"text": rows}, 1e9, dtype)


@settings(max_examples=25)
@given(st.data(), st.integers(1, 90), st.integers(1, 70))
def test_segments_share_documents(data: st.DataObject, texts: int, sounds: int) -> None:
    sizes = {"text": texts, "sound": sounds}
    ids = {n: torch.stack([identities(data, size) for _ in "ab"]) for n, size in sizes.items()}
    checked(TWO, ids, data.draw(st.sampled_from([1e9, 0.0])), torch.float64)


def test_operators_are_sound() -> None:
    name = pattern({"text text": "document & causal"}, ["text"])
    ids = torch.tensor([[0] * 30 + [1] * 20, [0] * 9 + [1] * 41, [0] * 30 + [1] * 20])
    spans = document_spans((ids,), (ids,))
    q, k, v = (torch.randn(3, h, 50, 4, requires_grad=True) for h in (4, 2, 2))
    rest = None, spans, spans, name, [50], 0.5
    with patch.object(sparse_plan, "_MARGIN", 1e9):
        torch.library.opcheck(attend, (q, k, v, *rest))
        with torch.no_grad():
            results = list(attend(q, k, v, *rest))
            torch.library.opcheck(attend_backward, (results[0], [q, k, v], results, *rest))


def test_flops_are_those_of_the_pairs_of_each_sample() -> None:
    """Documents of 128 tokens: a tile of 64 sees itself, and the second also the first."""
    name = pattern({"text text": "document"}, ["text"])
    ids = torch.tensor([[0] * 128 + [1] * 128, [0] * 64 + [1] * 192])
    spans = document_spans((ids,), (ids,))
    x = torch.randn(2, 3, 256, 8)
    with patch.object(sparse_plan, "_MARGIN", 1e9), FlopCounterMode(display=False) as counter:
        sparse_attention(x, x, x, (name, (256,)), None, (spans, spans))
    pairs = 2 * 128**2 + 64**2 + 192**2
    assert counter.get_total_flops() == 4 * 3 * 8 * pairs


def packed(tokens: int) -> Iterator[int]:
    """Lengths of documents: 64 to 1500 tokens, repeatably."""
    generator = torch.Generator().manual_seed(0)
    while tokens > 0:
        size = min(tokens, int(torch.randint(64, 1500, (1,), generator=generator)))
        yield size
        tokens -= size


class Watch(TorchDispatchMode):
    """Notes the numbers of the largest tensor that any operator gives."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run an operator."""
        result = func(*args, **(kwargs or {}))
        for one in result if isinstance(result, tuple | list) else (result,):
            if isinstance(one, Tensor):
                self.largest = max(self.largest, one.numel())
        return result


def test_nothing_grows_with_the_square_of_the_tokens() -> None:
    """A mask of all pairs of 65,536 tokens has 4 GiB; no tensor is larger than twice the values."""
    sizes = torch.tensor([*packed(65_536)])
    ids = torch.repeat_interleave(torch.arange(len(sizes)), sizes)[None]
    name = pattern({"text text": "document & causal"}, ["text"])
    x = torch.randn(1, 1, len(ids[0]), 16)
    with Watch() as watch:
        spans = document_spans((ids,), (ids,))
        ((plan, _),) = sparse_plan.plans(name, [len(ids[0])], spans, (1, 65_536, 65_536, 16))
        results = _attended([x, x, x], None, plan, Scores(0.25))
        _gradients([x, x, x, x, *results], None, plan, Scores(0.25))
    assert watch.largest <= 2 * x.numel()


def test_one_document_as_long_as_everything_makes_no_mask_of_all_pairs() -> None:
    name = pattern({"text text": "document & causal"}, ["text"])
    with patch.object(sparse_plan, "_LARGEST", 1000):
        ids = torch.zeros(1, 130, dtype=torch.int64)
        plan, _ = next(
            sparse_plan.plans(name, [130], document_spans((ids,), (ids,)), (1, 130, 130, 4))
        )
    assert isinstance(plan, Plan) and not plan.dense
    assert all(table.numel() <= 64 * 64 for table in plan.tables)


def test_plans_are_made_in_the_time_of_tiles_and_documents() -> None:
    """Twice the tokens, twice the blocks: each tile is looked at once for each document in it."""
    made = []
    for tokens in (2048, 4096):
        bounds = tables.Documents(tuple(range(0, tokens, 100)), ((0, 100),) * (tokens // 100 + 1))
        blocks = tables.tabled(
            tables.everything, [(bounds.between(0, 0), True)], range(tokens), range(tokens), tokens
        )
        made.append(len(list(blocks)))
    assert made[1] <= 2 * made[0] + 1
