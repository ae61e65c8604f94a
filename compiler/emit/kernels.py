"""Masks -> Triton: for each a forward, and two backwards, whose loops are the relation's.

Segments keep their own tiles: a program has one tile of one segment, and a loop for each segment
that it sees. Whole tiles are read without a look at the mask, the others with its condition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from mmspec.compiler import ir
from mmspec.compiler.emit.kernel_mask import Mask, padded
from mmspec.compiler.emit.sparse import Shown, scheduled, starts_of
from mmspec.compiler.emit.tidy import tidy
from mmspec.compiler.relations.formula import as_source
from mmspec.compiler.relations.geometry import Geometry
from mmspec.compiler.relations.patterns import meaning

_STRIDES: Final = "bht"


_FILE: Final = """{header}
# mypy: ignore-errors

from __future__ import annotations

import triton
import triton.language as tl

from .launch import Kernels
from .tiles import pull, push, read, rows, settle, write


{body}


KERNELS = {{
{table}}}
"""


def module(header: str, masks: list[Mask]) -> str:
    """The text of a package's kernels.py."""
    body = "\n\n\n".join(text.rstrip() for mask in masks for text in source(mask))
    table = "".join(_entry(mask) for mask in masks)
    return _FILE.format(header=header.rstrip(), body=body, table=table)


def source(mask: Mask) -> Iterator[str]:
    """The three kernels of a mask."""
    for write in (_forward, _backward_queries, _backward_keys):
        yield tidy("\n".join(write(mask)) + "\n")


def _entry(mask: Mask) -> str:
    """Its lines in the table of kernels."""
    given = [f"{mask.name}_{end}" for end in ("forward", "backward_q", "backward_k")]
    given += [f"queries={mask.places(mask.queries)}", f"keys={mask.places(mask.keys)}"]
    own = tuple(tile for tile, _ in mask.tiles)
    given += [f"tiles={own}", f"warps={mask.warps}"]
    lines = [f'    "{mask.name}": Kernels(', *(f"        {x}," for x in given), "    ),"]
    return "\n".join(lines) + "\n"


def _head(mask: Mask, kernel: str, about: str, tensors: str, extra: str) -> Iterator[str]:
    """Decorator, parameters, and pointers moved to the sample and the head of a program."""
    strides = [f"{x}_{axis}" for x in tensors.split() for axis in _STRIDES]
    lengths = ", ".join(mask.lengths)
    varying = ", ".join(f'"{name}"' for name in ("tokens", *mask.lengths))
    yield f"@triton.jit(do_not_specialize=[{varying}])"
    yield f"def {mask.name}_{kernel}("
    yield f"    {extra},"
    yield f"    {', '.join(strides)},"
    scales = "scale" if kernel == "forward" else "scale, plain_scale"
    yield f"    heads, shared, {scales}, tokens, {lengths},"
    yield "    HAS_VALID: tl.constexpr,"
    yield "):  # fmt: skip"
    yield f'    """{about}"""'
    yield "    tile = tl.program_id(0)"


def _valid(mask: Mask) -> Iterator[str]:
    """How many keys of each segment may be seen."""
    for segment in mask.keys:
        yield f"    there_{segment.name} = n_{segment.name}"
    yield "    if HAS_VALID:"
    for place, segment in enumerate(mask.keys):
        at = f"valid_ptr + sample * {len(mask.keys)} + {place}"
        yield f"        there_{segment.name} = tl.load({at})"


def _columns(mask: Mask) -> Iterator[str]:
    yield f"    w = tl.arange(0, {padded(mask.width)})"
    yield f"    c = tl.arange(0, {padded(mask.value_width)})"


def _branch(segment: ir.Segment, tile: int, body: list[str]) -> Iterator[str]:
    """What a program does whose tile is of a segment; others go on to the next."""
    yield ""
    count = f"(n_{segment.name} + {tile - 1}) // {tile}"
    yield f"    if tile >= 0 and tile < {count}:  # {segment.name}"
    yield from (f"        {line}" for line in body)
    yield f"    tile -= {count}"


def _conditions(pair: Shown) -> tuple[list[str], str]:
    """Statements that name coordinates, and the condition on them; "" where it always holds."""
    query, key, mask = pair
    text = as_source(meaning(mask, query.geometry, key.geometry))
    if text == "True":
        return [], ""
    lines = [*_coordinates("q", query.geometry, text), *_coordinates("k", key.geometry, text)]
    return lines, text


def _coordinates(letter: str, geometry: Geometry, text: str) -> Iterator[str]:
    if len(geometry.axes) == 1:
        return
    strides = geometry.strides()
    assert strides is not None, geometry
    for place, (name, stride) in enumerate(zip(geometry.names(letter), strides, strict=True)):
        if name in text:
            part = letter if stride == 1 else f"{letter} // {stride}"
            size = geometry.axes[place].size
            yield f"{name} = {part}" if place == 0 else f"{name} = {part} % {size}"


Body = Callable[[str, str, list[str]], list[str]]
"""(what is seen, whether a mask is looked at, statements before) -> statements."""


def _loops(
    mask: Mask, pair: Shown, body: Body, tiles: tuple[int, int], turned: bool = False
) -> list[str]:
    """The loops over tiles of one segment, around what is done with each; tiles: their sizes."""
    query, key, pattern = pair
    lines, condition = _conditions(pair)
    schedule = scheduled(pattern, query.geometry, key.geometry, tiles)
    there = f"k < there_{key.name}"
    parts = [condition] * bool(condition) + [there] + [f"q < n_{query.name}"] * turned
    seen = " & ".join(f"({part})" for part in parts) if len(parts) > 1 else there
    whole = body(there, "HAS_VALID", [])
    border = body(seen, "True", lines)
    found = schedule.inverse if turned else schedule
    text = found.triton("\n".join(whole), "\n".join(border)).splitlines()
    if any(isinstance(axis.size, int) for s in (query, key) for axis in s.geometry.axes):
        text = [f"if n_{query.name} > 0 and n_{key.name} > 0:", *(f"    {line}" for line in text)]
    return [f"# {query.name} sees {key.name}", *text]


def _starts(mask: Mask) -> tuple[dict[str, str], dict[str, str]]:
    """Where the segments of queries and of keys begin."""
    return starts_of(mask.queries), starts_of(mask.keys)


def _at(pointer: str, start: str, stride: str) -> str:
    """A pointer to the first token of a segment."""
    if not start:
        return pointer
    return (
        f"{pointer} + ({start}) * {stride}" if "+" in start else f"{pointer} + {start} * {stride}"
    )


def _rows(mask: Mask, tensor: str, start: str, token: str, column: str, exists: str) -> str:
    width = mask.value_width if column.startswith("c") else mask.width
    base = _at(f"{tensor}_ptr", start, f"{tensor}_t")
    return f"rows({base}, {token}, {column}, {tensor}_t, {exists}, {width}, {mask.far})"


def _store(mask: Mask, tensor: str, start: str, token: str, exists: str, value: str) -> str:
    column = "c[None, :]" if tensor in ("y", "dv") else "w[None, :]"
    width = mask.value_width if tensor in ("y", "dv") else mask.width
    base = _at(f"{tensor}_ptr", start, f"{tensor}_t")
    tail = f"{tensor}_t, {exists}, {value}, {width}, {mask.far}"
    return f"write({base}, {token}, {column}, {tail})"


def _forward(mask: Mask) -> Iterator[str]:
    tensors = "q_ptr, k_ptr, v_ptr, y_ptr, total_ptr, valid_ptr"
    about = "A tile of queries of one head reads the keys that it sees."
    yield from _head(mask, "forward", about, "q k v y", tensors)
    yield from _by_query_head("q y", "k v")
    yield "    total_ptr += (sample * heads + head) * tokens"
    yield from _columns(mask)
    yield from _valid(mask)
    starts, key_starts = _starts(mask)
    n = mask.tiles[0][0]
    for query in mask.queries:
        exists = f"q < n_{query.name}"
        start = starts[query.name]
        body = [
            "i = tile",
            f"q = i * {n} + tl.arange(0, {n})[:, None]",
            f"x = {_rows(mask, 'q', start, 'q', 'w[None, :]', exists)}",
            f"best = tl.full([{n}], -1.0e30, tl.float32)",
            f"total = tl.zeros([{n}], tl.float32)",
            f"y = tl.zeros([{n}, {padded(mask.value_width)}], tl.float32)",
        ]
        for pair in (pair for pair in mask.shown if pair[0] is query):
            body += _loops(mask, pair, _reader(mask, pair[1], key_starts), mask.tiles[0])
        ends = f"i * {n} + tl.arange(0, {n})"
        at = f"total_ptr + {start} + {ends}" if start else f"total_ptr + {ends}"
        body += [
            "y, total = settle(best, total, y)",
            _store(mask, "y", start, "q", exists, "y"),
            f"tl.store({at}, total, mask={ends} < n_{query.name})",
        ]
        yield from _branch(query, n, body)


def _by_query_head(of_query: str, of_key: str) -> Iterator[str]:
    yield "    sample = (tl.program_id(1) // heads).to(tl.int64)"
    yield "    head = tl.program_id(1) % heads"
    for tensor in of_query.split():
        yield f"    {tensor}_ptr += sample * {tensor}_b + head * {tensor}_h"
    for tensor in of_key.split():
        yield f"    {tensor}_ptr += sample * {tensor}_b + head // shared * {tensor}_h"


def _reader(mask: Mask, key: ir.Segment, starts: dict[str, str]) -> Body:
    def body(seen: str, masked: str, before: list[str]) -> list[str]:
        start, n = starts[key.name], mask.tiles[0][1]
        there = f"key < n_{key.name}"
        return [
            f"k = j * {n} + tl.arange(0, {n})[None, :]",
            f"key = j * {n} + tl.arange(0, {n})[:, None]",
            *before,
            f"k_wk = {_rows(mask, 'k', start, 'k', 'w[:, None]', f'k < n_{key.name}')}",
            f"v_kv = {_rows(mask, 'v', start, 'key', 'c[None, :]', there)}",
            f"seen = {seen}",
            f"best, total, y = read(x, best, total, y, k_wk, v_kv, seen, scale, {masked})",
        ]

    return body


def _backward_queries(mask: Mask) -> Iterator[str]:
    tensors = "q_ptr, k_ptr, v_ptr, g_ptr, total_ptr, delta_ptr, valid_ptr, dq_ptr"
    about = "The gradient of a tile of queries of one head."
    yield from _head(mask, "backward_q", about, "q k v g dq", tensors)
    yield from _by_query_head("q g dq", "k v")
    yield "    total_ptr += (sample * heads + head) * tokens"
    yield "    delta_ptr += (sample * heads + head) * tokens"
    yield from _columns(mask)
    yield from _valid(mask)
    starts, key_starts = _starts(mask)
    n = mask.tiles[1][0]
    for query in mask.queries:
        exists = f"q < n_{query.name}"
        start = starts[query.name]
        body = [
            "i = tile",
            f"q = i * {n} + tl.arange(0, {n})[:, None]",
            f"row = i * {n} + tl.arange(0, {n})",
            f"x = {_rows(mask, 'q', start, 'q', 'w[None, :]', exists)}",
            f"g = {_rows(mask, 'g', start, 'q', 'c[None, :]', exists)}",
            *_sums(query, start, "row"),
            f"dx = tl.zeros([{n}, {padded(mask.width)}], tl.float32)",
        ]
        for pair in (pair for pair in mask.shown if pair[0] is query):
            body += _loops(mask, pair, _puller(mask, pair[1], key_starts), mask.tiles[1])
        body.append(_store(mask, "dq", start, "q", exists, "dx * plain_scale"))
        yield from _branch(query, n, body)


def _sums(query: ir.Segment, start: str, row: str) -> list[str]:
    """Log-sum-exp (in base 2) and delta of some queries."""
    at = f"{start} + {row}" if start else row
    exists = f"mask={row} < n_{query.name}, other=0.0"
    return [
        f"total = tl.load(total_ptr + {at}, {exists}) * 1.4426950408889634",
        f"delta = tl.load(delta_ptr + {at}, {exists})",
    ]


def _puller(mask: Mask, key: ir.Segment, starts: dict[str, str]) -> Body:
    def body(seen: str, masked: str, before: list[str]) -> list[str]:
        start, n, there = starts[key.name], mask.tiles[1][1], f"k < n_{key.name}"
        return [
            f"k = j * {n} + tl.arange(0, {n})[None, :]",
            *before,
            f"k_wk = {_rows(mask, 'k', start, 'k', 'w[:, None]', there)}",
            f"v_vk = {_rows(mask, 'v', start, 'k', 'c[:, None]', there)}",
            f"seen = {seen}",
            f"dx = pull(x, g, total, delta, dx, k_wk, v_vk, seen, scale, {masked})",
        ]

    return body


def _backward_keys(mask: Mask) -> Iterator[str]:
    tensors = "q_ptr, k_ptr, v_ptr, g_ptr, total_ptr, delta_ptr, valid_ptr, dk_ptr, dv_ptr"
    about = "The gradients of a tile of keys and values, over all heads that share them."
    yield from _head(mask, "backward_k", about, "q k v g dk dv", tensors)
    yield "    sample = (tl.program_id(1) // (heads // shared)).to(tl.int64)"
    yield "    first = tl.program_id(1) % (heads // shared) * shared"
    for tensor in ("k", "v", "dk", "dv"):
        yield f"    {tensor}_ptr += sample * {tensor}_b + first // shared * {tensor}_h"
    for tensor in ("q", "g"):
        yield f"    {tensor}_ptr += sample * {tensor}_b + first * {tensor}_h"
    yield "    total_ptr += (sample * heads + first) * tokens"
    yield "    delta_ptr += (sample * heads + first) * tokens"
    yield from _columns(mask)
    yield from _valid(mask)
    starts, key_starts = _starts(mask)
    n = mask.tiles[2][0]
    for key in mask.keys:
        exists, start = f"k < n_{key.name}", key_starts[key.name]
        body = [
            "j = tile",
            f"k = j * {n} + tl.arange(0, {n})[:, None]",
            f"k_kw = {_rows(mask, 'k', start, 'k', 'w[None, :]', exists)}",
            f"v_kv = {_rows(mask, 'v', start, 'k', 'c[None, :]', exists)}",
            f"dk = tl.zeros([{n}, {padded(mask.width)}], tl.float32)",
            f"dv = tl.zeros([{n}, {padded(mask.value_width)}], tl.float32)",
        ]
        inner = []
        for pair in (pair for pair in mask.shown if pair[1] is key):
            own, taken = mask.tiles[2]
            push = _pusher(mask, pair[0], starts)
            inner += _loops(mask, pair, push, (taken, own), turned=True)
        if inner:
            inner += ["q_ptr += q_h", "g_ptr += g_h", "total_ptr += tokens", "delta_ptr += tokens"]
            body += ["for _ in range(shared):", *(f"    {line}" for line in inner)]
        body.append(_store(mask, "dk", start, "k", exists, "dk * plain_scale"))
        body.append(_store(mask, "dv", start, "k", exists, "dv"))
        yield from _branch(key, n, body)


def _pusher(mask: Mask, query: ir.Segment, starts: dict[str, str]) -> Body:
    def body(seen: str, masked: str, before: list[str]) -> list[str]:
        start, n, exists = starts[query.name], mask.tiles[2][1], f"q < n_{query.name}"
        return [
            f"q = i * {n} + tl.arange(0, {n})[None, :]",
            f"row = i * {n} + tl.arange(0, {n})",
            *before,
            f"x_wq = {_rows(mask, 'q', start, 'q', 'w[:, None]', exists)}",
            f"g_vq = {_rows(mask, 'g', start, 'q', 'c[:, None]', exists)}",
            *_sums(query, start, "row"),
            f"seen = {seen}",
            f"dk, dv = push(k_kw, v_kv, dk, dv, x_wq, g_vq, total, delta, seen, scale, {masked})",
        ]

    return body
