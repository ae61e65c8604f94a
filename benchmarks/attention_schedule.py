"""What the schedule of a mask costs at 1,048,576 tokens, beside FlexAttention's block mask.

A closed mask has loops that isl finds once, for every length; a mask that is a table (packed
documents, random blocks) has one for each length. FlexAttention asks its mask of every pair.
"""

from __future__ import annotations

import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final

import attention_peers
from attention_masks import MASKS, Case

from mmspec.compiler.relations.loops.emitted import pattern_source
from mmspec.compiler.relations.loops.token_tables import table
from mmspec.compiler.relations.meaning.definitions import is_closed

LENGTH: Final = 1 << 20
_PEER: Final = 4096
"""Tokens of the peer's mask: time and memory grow as the square."""
_ROUNDS: Final = 3


def table_of(case: Case) -> None:
    """The tables of a mask that is none of formulas, and the runs of one tile in the middle."""
    for query in case.mask.queries:
        for key in case.mask.keys:
            mask = case.mask.mask(query.name, key.name)
            given = query.geometry, key.geometry, case.lengths, case.documents
            made = table(mask, *given)
            made.runs(made.tokens[0] // 128, 64, 64)


def is_formula(case: Case) -> bool:
    """Whether loops for every length can be had."""
    return all(is_closed(mask) for *_, mask in case.mask.pairs)


def builder(case: Case) -> Callable[[], object]:
    """What builds the schedule of a mask."""
    if is_formula(case):
        return partial(pattern_source, "mask", case.mask)
    return partial(table_of, case)


def cost(build: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds (median; once where it takes a second) and kilobytes (the most, of Python's)."""
    times: list[float] = []
    while len(times) < _ROUNDS and sum(times) < 1e3:
        begin = time.process_time()
        build()
        times.append((time.process_time() - begin) * 1e3)
    tracemalloc.start()
    build()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return statistics.median(times), peak / 1024


def peer(name: str, device: str, length: int = _PEER) -> float:
    """Milliseconds of CPU for FlexAttention's block mask at a length that is feasible."""
    build = attention_peers.block_mask(MASKS[name](length).on(device), 128, device)
    build()
    begin = time.process_time()
    build()
    return (time.process_time() - begin) * 1e3


def table_lines(names: Iterable[str], length: int = LENGTH, device: str = "cpu") -> Iterator[str]:
    """Of the table, one by one."""
    yield (
        f"**schedules** at {length:,} tokens, CPU time; kB: the most that Python held at once (what"
        f" isl holds beside is not counted); FlexAttention: create_block_mask at {_PEER:,}"
        f" tokens, eager on a CPU; at {length:,} it asks for {length**2 / 1e12:.1f} TB;"
        f" {attention_peers.machine()}"
    )
    yield ""
    columns = "mask", "is", "build ms", "kB", "again when the length changes", f"flex at {_PEER} ms"
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    for name in names:
        case = MASKS[name](length)
        milliseconds, kilobytes = cost(builder(case))
        kind, again = ("loops", "no") if is_formula(case) else ("table", "yes")
        cells = name, kind, f"{milliseconds:.2f}", f"{kilobytes:.0f}", again
        yield f"| {' | '.join(cells)} | {peer(name, device):.1f} |"
