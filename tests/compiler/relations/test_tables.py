"""Tables of random blocks and packed documents, alone and within masks, pair by pair."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_masks import ANYWHERE, IN_ORDER, combined, sees, tokens

from mmspec.compiler.relations.loops.token_tables import (
    BLOCK,
    Documents,
    Table,
    chosen_blocks,
    table,
)
from mmspec.compiler.relations.meaning.definitions import MeaninglessError
from mmspec.compiler.relations.meaning.geometry import line
from mmspec.expressions.mask import And, Mask, Not, Or, Pattern

Visible = Callable[[int, int], bool]
DOCUMENT = Pattern("document")
ROUNDS = settings.default.max_examples if settings.default else 50


def by_ids(mask: Mask, queries: list[int], keys: list[int]) -> Visible:
    """A mask with documents, evaluated pair by pair."""
    rows, columns = (tokens(line("n"), {"n": len(ids)}) for ids in (queries, keys))

    def visible(mask: Mask, q: int, k: int) -> bool:
        if mask == DOCUMENT:
            return queries[q] == keys[k]
        if isinstance(mask, And):
            return visible(mask.left, q, k) and visible(mask.right, q, k)
        if isinstance(mask, Or):
            return visible(mask.left, q, k) or visible(mask.right, q, k)
        if isinstance(mask, Not):
            return not visible(mask.operand, q, k)
        return sees(mask, rows[q], columns[k])

    return lambda q, k: visible(mask, q, k)


def agrees(found: Table, visible: Visible, sizes: tuple[int, int], tiles: tuple[int, int]) -> None:
    """Pairs, their number, and that runs hold what they must."""
    rows, columns = sizes
    pairs = {(q, k) for q in range(rows) for k in range(columns) if visible(q, k)}
    seen = {(q, k) for q in range(rows) for k in range(columns) if found.contains(q, k)}
    assert seen == pairs
    assert found.count() == len(pairs)
    tall, wide = tiles
    for i in range(-(-rows // tall)):
        tile = range(i * tall, min((i + 1) * tall, rows))
        kinds = {j: w for a, b, w in found.runs(i, tall, wide) for j in range(a, b)}
        for j in range(-(-columns // wide)):
            part = [(q, k) in pairs for q in tile for k in range(j * wide, (j + 1) * wide)]
            assert j in kinds or not any(part)
            assert not kinds.get(j) or all(part)


PACKED = st.lists(st.integers(0, 6), max_size=5)


@settings(max_examples=2 * ROUNDS)
@given(
    combined(st.one_of(st.just(DOCUMENT), ANYWHERE, IN_ORDER)),
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=5),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
)
def test_documents(mask: Mask, packed: list[tuple[int, int]], tiles: tuple[int, int]) -> None:
    lengths = [q for q, _ in packed], [k for _, k in packed]
    queries, keys = ([at for at, n in enumerate(side) for _ in range(n)] for side in lengths)
    sizes = {"n": len(queries), "m": len(keys)}
    visible = by_ids(mask, queries, keys)
    for documents in (Documents.of_lengths(*lengths), Documents.of_ids(queries, keys)):
        found = table(mask, line("n"), line("m"), sizes, documents)
        agrees(found, visible, (len(queries), len(keys)), tiles)
        back = found.inverse()
        agrees(back, lambda k, q: visible(q, k), (len(keys), len(queries)), tiles)


def test_a_document_alone_is_exact() -> None:
    found = table(DOCUMENT, line("n"), line("n"), {"n": 10}, Documents.of_lengths([4, 2, 4]))
    assert found.runs(0, 4, 2) == [(0, 2, True)]
    assert found.runs(1, 4, 2) == [(2, 5, False)]
    assert found.runs(2, 4, 2) == [(3, 5, True)]


@pytest.mark.parametrize(("rows", "columns"), [(200, 200), (130, 330), (64, 65), (1, 1)])
def test_random_blocks(rows: int, columns: int) -> None:
    mask = Pattern("random", (("blocks", 2), ("seed", 7)))
    blocks = -(-columns // BLOCK)
    chosen = [chosen_blocks(2, 7, place, blocks) for place in range(-(-rows // BLOCK))]
    assert all(len(found) == min(2, blocks) for found in chosen)
    found = table(mask, line("n"), line("m"), {"n": rows, "m": columns})
    agrees(found, lambda q, k: k // BLOCK in chosen[q // BLOCK], (rows, columns), (48, 80))
    turned = found.inverse()
    agrees(turned, lambda k, q: k // BLOCK in chosen[q // BLOCK], (columns, rows), (48, 80))


def test_random_blocks_are_spread_evenly_and_follow_the_seed() -> None:
    draws = [chosen_blocks(4, 0, place, 16) for place in range(4096)]
    hits = [sum(block in found for found in draws) for block in range(16)]
    assert all(abs(hit - 1024) < 5 * (1024 * 3 / 4) ** 0.5 for hit in hits), hits
    assert [chosen_blocks(4, 1, place, 16) for place in range(4096)] != draws


def test_ids_of_a_document_stand_together() -> None:
    with pytest.raises(ValueError, match="document 0"):
        Documents.of_ids([0, 1, 0])


def test_documents_are_needed() -> None:
    with pytest.raises(MeaninglessError, match="packed"):
        table(DOCUMENT, line("n"), line("n"), {"n": 3})
