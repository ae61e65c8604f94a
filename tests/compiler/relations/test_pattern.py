"""Patterns of sequences against the formulas of docs/masks.md, pair by pair."""

from __future__ import annotations

import itertools
import re

import naive_masks
import pytest
import torch
from hypothesis import given
from torch import Tensor

from mmspec.compiler.load_pattern import install
from mmspec.compiler.relations.loops.arrangement import Boxes, Classes, Layout, Line, layout
from mmspec.compiler.relations.loops.emitted import pattern_source
from mmspec.compiler.relations.loops.token_tables import Documents, chosen_blocks
from mmspec.compiler.relations.meaning.geometry import Geometry, grid, line, volume
from mmspec.compiler.relations.meaning.sequence import SequenceMask, Side
from mmspec.compiler.runtime import sparse_plan
from mmspec.compiler.runtime.sparse_calls import Call
from mmspec.expressions.mask import parse, parse_pair

_NUMBERS = itertools.count()
Lengths = dict[str, int]


def mask_of(sides: dict[str, Geometry], shown: dict[str, str]) -> SequenceMask:
    """A square mask: `a -> b` to a mask."""
    every = tuple(Side(name, geometry) for name, geometry in sides.items())
    pairs = tuple((*parse_pair(pair), parse(text)) for pair, text in shown.items())
    return SequenceMask(every, every, pairs)


def by_formula(mask: SequenceMask, lengths: Lengths) -> Tensor:
    """Who sees whom: bool [q, k]."""
    rows = [
        torch.cat([_of_pair(mask, query, key, lengths) for key in mask.keys], 1)
        for query in mask.queries
    ]
    return torch.cat(rows)


def _of_pair(mask: SequenceMask, query: Side, key: Side, lengths: Lengths) -> Tensor:
    seen = torch.zeros(query.geometry.tokens(lengths), key.geometry.tokens(lengths)) > 0
    shown = mask.mask(query.name, key.name)
    for q, k in naive_masks.pairs(shown, query.geometry, key.geometry, lengths):
        seen[q, k] = True
    return seen


def by_pattern(mask: SequenceMask, lengths: Lengths, documents: Documents | None = None) -> Tensor:
    """The same by the blocks and the predicate of the pattern, in the order of the tokens."""
    name = f"test_{next(_NUMBERS)}"
    install(name, mask, documents)
    values = tuple(lengths[symbol] for symbol in mask.parameters)
    queries, keys = mask.tokens(lengths)
    call = Call(0, queries, ((0, keys, 0),))
    return sparse_plan._dense_plan(name, values, call).tables[0]


def check(mask: SequenceMask, lengths: Lengths) -> None:
    assert by_pattern(mask, lengths).equal(by_formula(mask, lengths))


@given(naive_masks.lines())
def test_any_mask_of_lines(case: naive_masks.Case) -> None:
    _check_case(case, 60)


@given(naive_masks.grids())
def test_any_mask_of_grids(case: naive_masks.Case) -> None:
    _check_case(case, 5)


def _check_case(case: naive_masks.Case, longer: int) -> None:
    """At lengths of several tiles too."""
    query, key = Side("x", case.query), Side("y", case.key)
    if case.query == case.key:
        key = query
    mask = SequenceMask((query,), (key,), ((query.name, key.name, case.mask),))
    lengths = {name: length + longer * (length > 3) for name, length in case.lengths.items()}
    check(mask, lengths)


IMAGE, VIDEO, TEXT = grid("h", "w"), volume("f", "h", "w"), line("n")


@pytest.mark.parametrize(
    ("mask", "kinds"),
    [
        (
            mask_of(
                {"image": IMAGE, "text": TEXT},
                {
                    "image -> image": "window2d(radius=3)",
                    "text -> image": "full",
                    "text -> text": "causal",
                },
            ),
            [Boxes, Line],
        ),
        (
            mask_of(
                {"text": TEXT, "video": VIDEO, "audio": line("m")},
                {
                    "text -> text": "window(before=9)",
                    "text -> video": "full",
                    "video -> video": "window3d(radius=1)",
                    "video -> audio": "prefix(length=70)",
                    "audio -> text": "none",
                },
            ),
            [Line, Boxes, Line],
        ),
        (
            mask_of(
                {"image": IMAGE, "text": TEXT},
                {"image -> image": "shifted_window(size=5, shift=2)", "text -> image": "full"},
            ),
            [Classes, Line],
        ),
        (
            mask_of(
                {"text": TEXT, "image": IMAGE},
                {"text -> text": "dilated(step=3, reach=20) & causal", "image -> text": "full"},
            ),
            [Classes, Line],
        ),
        (
            mask_of({"x": TEXT}, {"x -> x": "strided(step=5) & window(before=30, after=4)"}),
            [Classes],
        ),
        (mask_of({"x": TEXT}, {"x -> x": "strided(step=5) & block(size=35)"}), [Classes]),
        (mask_of({"x": TEXT}, {"x -> x": "strided(step=5) & block(size=33)"}), [Line]),
        (mask_of({"x": TEXT}, {"x -> x": "strided(step=5) | causal"}), [Line]),
        (mask_of({"x": VIDEO}, {"x -> x": "axial(axis=frame)"}), [Classes]),
        (mask_of({"x": grid("h", 9)}, {"x -> x": "causal & window(before=20)"}), [Boxes]),
        (mask_of({"x": grid(30, 9)}, {"x -> x": "causal & window(before=20)"}), [Line]),
    ],
)
def test_sequences_in_the_order_that_suits(mask: SequenceMask, kinds: list[type[Layout]]) -> None:
    assert [type(layout(mask, side)) for side in mask.sides] == kinds
    for sizes in ((2, 11, 13, 150, 40), (1, 8, 16, 64, 64), (3, 1, 1, 1, 1), (1, 17, 9, 200, 0)):
        check(mask, dict(zip("fhwnm", sizes, strict=True)))


def test_documents_and_random_blocks() -> None:
    """Tables: the documents of a shared sequence, and 3 blocks drawn for each 64 queries."""
    documents = Documents.of_lengths([70, 1, 129])
    found = by_pattern(mask_of({"x": TEXT}, {"x -> x": "document & causal"}), {"n": 200}, documents)
    which = torch.tensor([0] * 70 + [1] + [2] * 129)
    q, k = torch.arange(200)[:, None], torch.arange(200)
    assert found.equal((which[q] == which[k]) & (k <= q))
    found = by_pattern(mask_of({"x": TEXT}, {"x -> x": "random(blocks=2, seed=3)"}), {"n": 400})
    for i in range(7):
        drawn = torch.tensor(sorted(chosen_blocks(2, 3, i, 7)))
        assert found[64 * i : 64 * i + 64].equal(
            torch.isin(k_of(400) // 64, drawn).expand(min(64, 400 - 64 * i), -1)
        )


def k_of(tokens: int) -> Tensor:
    return torch.arange(tokens)


def test_source_of_a_window() -> None:
    """What a package holds."""
    source = pattern_source(
        "stream", mask_of({"text": TEXT}, {"text -> text": "window(before=99)"})
    )
    assert "def stream_runs(i: int, n: int) -> Iterator[Run]:" in source
    assert "    yield from tiled(stream_runs, 64, range(n), range(n), n)" in source
    assert source.endswith('STREAM = register("stream", Pattern(stream_blocks, stream_sees))\n')


def test_the_source_multiplies_by_no_0_or_1() -> None:
    """A grid of 2 x 3 has one box a frame; one of 11 x 13 has rows of two."""
    small = mask_of({"clip": volume("frames", 2, 3)}, {"clip -> clip": "axial(frame) | axial(row)"})
    text = pattern_source("small", small)
    assert "    t_frame = t // 6\n    return t_frame\n" in text
    sides = {"sound": line("n"), "image": grid(11, 13)}
    shown = {"image -> image": "window2d(2)", "sound -> image": "global(3)"}
    wide = pattern_source("wide", mask_of(sides, shown))
    assert "return (t_row // 8) * 2 + t_column // 8\n" in wide
    assert "    yield 0, 1, False\n" in wide
    assert not re.search(r"\* [01]\b|\b[01] \*|// 1\b", text + wide)
