"""Masks of sequences as patterns of this process: what is emitted, run; and tables as they are."""

from __future__ import annotations

import linecache
from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor

from mmspec.compiler.parts import sparse_plan
from mmspec.compiler.relations.geometry import Lengths
from mmspec.compiler.relations.layout import TILE
from mmspec.compiler.relations.pattern import pattern_source
from mmspec.compiler.relations.patterns import is_closed
from mmspec.compiler.relations.sequence import SequenceMask, Side
from mmspec.compiler.relations.tables import Documents, Table, table

_HEADER = """from collections.abc import Iterator
from itertools import pairwise, product

import torch
from torch import Tensor

from mmspec.compiler.parts.sparse_plan import Block, Pattern, Run, bounds, laid, register, tiled
from mmspec.compiler.parts.tables import Documents, Draw, everything, samples, sees, tabled


"""

__all__ = ["install"]


def install(name: str, mask: SequenceMask, documents: Documents | None = None) -> None:
    """Register a mask's pattern by a new name. Raises MeaninglessError.

    Its lengths are `mask.parameters` in order. `documents`: those of a mask that asks for them and
    does not know them as `mask.packed`, from then on.
    """
    closed = all(is_closed(part) for *_, part in mask.pairs)
    if closed or (documents is None and all(side.most is not None for side in mask.sides)):
        _run(f"<pattern {name}>", _HEADER + pattern_source(name, mask))
        return
    tabled = _Tabled(mask, documents)
    sparse_plan.register(name, sparse_plan.Pattern(tabled.blocks, tabled.sees))


def _run(file: str, source: str) -> None:
    linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file
    exec(compile(source, file, "exec"), {})


class _Tabled:
    """A mask of which a part is a table: blocks and predicate from the table of each pair."""

    def __init__(self, mask: SequenceMask, documents: Documents | None) -> None:
        self.mask, self.documents = mask, documents
        self.tables = lru_cache(maxsize=64)(self._tables)

    def _tables(self, *lengths: int) -> list[tuple[int, int, Table]]:
        """For each pair where its queries and its keys begin, and its table."""
        known = dict(zip(self.mask.parameters, lengths, strict=True))
        sides = _starts(self.mask.queries, known), _starts(self.mask.keys, known)
        return [
            (sides[0][query], sides[1][key], self._table(query, key, known))
            for query in self.mask.queries
            for key in self.mask.keys
        ]

    def _table(self, query: Side, key: Side, known: Lengths) -> Table:
        mask = self.mask.mask(query.name, key.name)
        return table(mask, query.geometry, key.geometry, known, self.documents)

    def blocks(self, *lengths: int) -> Iterator[sparse_plan.Block]:
        """As of every pattern."""
        for first, left, found in self.tables(*lengths):
            queries, keys = found.tokens

            def runs(index: int, found: Table = found) -> list[sparse_plan.Run]:
                return found.runs(index, TILE, TILE)

            spans = range(first, first + queries), range(left, left + keys)
            yield from sparse_plan.tiled(runs, TILE, *spans)

    def sees(self, q: Tensor, k: Tensor, *lengths: int) -> Tensor:
        """As of every pattern."""
        seen_qk = torch.zeros(q.numel(), k.numel(), dtype=torch.bool)
        first, left = int(q.flatten()[0]), int(k[0])
        for start, begin, found in self.tables(*lengths):
            queries, keys = found.tokens
            if start <= first < start + queries and begin <= left < begin + keys:
                for row, query in enumerate((q - start).flatten().tolist()):
                    for a, b in found.row(query):
                        seen_qk[row, max(a + begin - left, 0) : max(b + begin - left, 0)] = True
        return seen_qk


def _starts(sides: tuple[Side, ...], lengths: Lengths) -> dict[Side, int]:
    starts: dict[Side, int] = {}
    at = 0
    for side in sides:
        starts[side] = at
        at += side.geometry.tokens(lengths)
    return starts
