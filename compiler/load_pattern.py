"""Masks of sequences as patterns of this process: what is emitted, run."""

from __future__ import annotations

import linecache
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from torch import Tensor

from mmspec.compiler.relations.loops.emitted import pattern_source
from mmspec.compiler.relations.loops.token_tables import Documents
from mmspec.compiler.relations.meaning.definitions import is_closed
from mmspec.compiler.relations.meaning.sequence import SequenceMask, Side
from mmspec.compiler.runtime import sparse_pattern, tables
from mmspec.expressions.mask import is_packed

_HEADER = """from collections.abc import Iterator
from itertools import pairwise, product

import torch
from torch import Tensor

from mmspec.compiler.runtime.sparse_pattern import (
    Seen,
    Pattern,
    Run,
    bounds,
    laid,
    register,
    tiled,
)
from mmspec.compiler.runtime.tables import Documents, Draw, everything, samples, sees, tabled


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
    bound = _Bound(name, mask, documents)
    sparse_pattern.register(name, sparse_pattern.Pattern(bound.blocks, bound.sees))


def _run(file: str, source: str) -> None:
    linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file
    exec(compile(source, file, "exec"), {})


class _Bound:
    """A mask with tables: its segments hold what they hold at the time, its documents are known."""

    def __init__(self, name: str, mask: SequenceMask, documents: Documents | None) -> None:
        self.name, self.mask = name, mask
        self.given = () if documents is None else (_packed(documents),)
        self.made = lru_cache(maxsize=64)(self._made)

    def _made(self, *lengths: int) -> sparse_pattern.Pattern:
        """The pattern at some lengths."""
        known = dict(zip(self.mask.parameters, lengths, strict=True))

        def held(side: Side) -> Side:
            """As many tokens as there are."""
            tokens = known[side.count] if side.count else side.geometry.tokens(known)
            return replace(side, most=tokens)

        queries, keys = (tuple(map(held, some)) for some in (self.mask.queries, self.mask.keys))
        asking = (pair[:2] for pair in self.mask.pairs if is_packed(pair[2]))
        packed = frozenset(name for pair in asking for name in pair)
        name = "_".join((self.name, *map(str, lengths)))
        mask = SequenceMask(queries, keys, self.mask.pairs, packed)
        _run(f"<pattern {name}>", _HEADER + pattern_source(name, mask))
        return sparse_pattern.registered(name)

    def blocks(self, *lengths: int) -> Iterator[sparse_pattern.Seen]:
        """As of every pattern."""
        yield from self.made(*lengths).blocks(*lengths, *self.given)

    def sees(self, q: Tensor, k: Tensor, *lengths: int) -> Tensor:
        """As of every pattern."""
        return self.made(*lengths).sees(q, k, *lengths, *self.given)


def _packed(documents: Documents) -> tables.Documents:
    """Documents of one segment of queries and one of keys as patterns take them."""
    there = sorted(
        (start, name) for name, (start, stop) in documents.queries.items() if start < stop
    )
    seen = tuple(documents.keys.get(name, (0, 0)) for _, name in there)
    return tables.Documents(tuple(start for start, _ in there), seen)
