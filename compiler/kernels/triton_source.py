"""Masks -> Triton: for each a forward, and two backwards, whose loops are the relation's.

Segments keep their own tiles: a program has one tile of one segment, and a loop for each segment
that it sees. Whole tiles are read without a look at the mask, the others with its condition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Final

from mmspec.compiler.kernels import tabled
from mmspec.compiler.kernels.kernel_mask import Mask, loops, padded, seen_lines
from mmspec.compiler.kernels.places import ClassPlace, LinePlace, Place
from mmspec.compiler.kernels.prune import pruned
from mmspec.compiler.kernels.tabled import Body, Pair
from mmspec.compiler.kernels.words import are_wide
from mmspec.compiler.relations.meaning.definitions import is_closed, meaning
from mmspec.compiler.relations.meaning.formula import ALWAYS, Formula, as_source
from mmspec.compiler.relations.meaning.sequence import Side
from mmspec.compiler.specialise.tidy import tidy
from mmspec.expressions.mask import FULL, unparse

_STRIDES: Final = "bht"
_NUMBERS: Final = ("total", "delta")
"""Of each query of each head."""
_OF_KEYS: Final = ("k", "v", "dk", "dv")
"""Tensors with the heads of keys."""
_ROW, _COLUMN = "[:, None]", "[None, :]"
_WIDTH: Final = 100
"""Characters of a line."""
_LINE: Final = "2 * most + 1"
"""Relative scores of a head."""


@lru_cache(maxsize=256)
def source(mask: Mask) -> tuple[str, ...]:
    """The three kernels of a mask, and how many programs each needs."""
    return tuple(_source(mask))


def _source(mask: Mask) -> Iterator[str]:
    for write in (_forward, _backward_queries, _backward_keys):
        lines = [*write(mask)]
        if are_wide(mask, lines):
            lines = [*write(replace(mask, wide=True))]
        yield _tidied(lines)
    yield _tidied(_tiles(mask))


def _tidied(lines: Iterable[str]) -> str:
    return tidy(pruned("\n".join(lines) + "\n"))


def _tiles(mask: Mask) -> Iterator[str]:
    """The function that counts tiles, and so the programs of each kernel."""
    yield f"def {mask.name}_tiles({', '.join(mask.lengths)}):"
    yield '    """Programs of the forward and of both backwards, for one head."""'
    for side in mask.sequence.sides:
        yield from (f"    {line}" for line in side.derived())
    names = ("forward", "backward_q", "backward_k")
    sides = mask.sequence.queries, mask.sequence.queries, mask.sequence.keys
    for name, segments, (tile, _) in zip(names, sides, mask.tiles, strict=True):
        counts = [mask.place(side, tile).count() for side in segments]
        yield f"    {name} = {' + '.join(counts)}"
    yield f"    return {', '.join(names)}"


def _jit(varying: Iterable[str]) -> Iterator[str]:
    """What makes a kernel of a function: a value of these numbers is no reason to compile again."""
    names = [f'"{name}"' for name in varying]
    alone = f"@triton.jit(do_not_specialize=[{', '.join(names)}])"
    inner = f"    do_not_specialize=[{', '.join(names)}]"
    if len(alone) <= _WIDTH:
        yield alone
    elif len(inner) <= _WIDTH:
        yield from ("@triton.jit(", inner, ")")
    else:
        each = (f"        {name}," for name in names)
        yield from ("@triton.jit(", "    do_not_specialize=[", *each, "    ]", ")")


def _head(mask: Mask, kernel: str, about: str, given: str) -> Iterator[str]:
    """The start of a kernel: parameters, and pointers at the sample and the head of a program.

    given: what there are pointers to, in order.
    """
    tensors = [name for name in given.split() if name not in (*_NUMBERS, "valid")]
    numbers = [name for name in given.split() if name in _NUMBERS]
    beside = ("valid", *["relative"] * bool(mask.lines), *tabled.pointers(mask))
    given = given.replace("valid", " ".join(beside))
    whole = ("tokens", *["most"] * bool(mask.lines), *mask.lengths)
    scales = "scale" if kernel == "forward" else "scale, plain_scale"
    yield from _jit(whole)
    yield f"def {mask.name}_{kernel}("
    yield f"    {', '.join(f'{name}_ptr' for name in given.split())},"
    yield f"    {', '.join(f'{name}_{axis}' for name in tensors for axis in _STRIDES)},"
    yield f"    heads, shared, {scales}, {', '.join(whole)},"
    yield "    HAS_VALID: tl.constexpr,"
    yield "):  # fmt: skip"
    yield f'    """{about}"""'
    yield "    tile = tl.program_id(0)" + ".to(tl.int64)" * mask.wide
    if mask.wide:
        yield from (f"    {name} = {name}.to(tl.int64)" for name in mask.lengths)
    for side in mask.sequence.sides:
        yield from (f"    {line}" for line in side.derived())
    yield from _moved(tensors, numbers, by_key=kernel == "backward_k")
    if mask.lines:
        head = "first" if kernel == "backward_k" else "head"
        yield f"    relative_ptr += {head} * ({_LINE})"
    yield f"    w = tl.arange(0, {padded(mask.width)})"
    yield f"    c = tl.arange(0, {padded(mask.value_width)})"
    yield from _valid(mask)


def _moved(tensors: list[str], numbers: list[str], by_key: bool) -> Iterator[str]:
    """Pointers to a head of queries, or to the first of those that share a head of keys."""
    head = "first" if by_key else "head"
    groups = "(heads // shared)" if by_key else "heads"
    yield f"    sample = (tl.program_id(1) // {groups}).to(tl.int64)"
    yield f"    {head} = tl.program_id(1) % {groups}" + " * shared" * by_key
    for name in sorted(tensors, key=lambda name: (name in _OF_KEYS) != by_key):
        own = f"{head} // shared" if name in _OF_KEYS else head
        yield f"    {name}_ptr += sample * {name}_b + {own} * {name}_h"
    for name in numbers:
        yield f"    {name}_ptr += (sample * heads + {head}) * tokens"


def _valid(mask: Mask) -> Iterator[str]:
    """How many keys of each segment may be seen."""
    for key in mask.sequence.keys:
        yield f"    there_{key.name} = {key.count}"
    yield "    if HAS_VALID:"
    for place, key in enumerate(mask.sequence.keys):
        segments = len(mask.sequence.keys)
        at = f"valid_ptr + sample * {segments} + {place}" if segments > 1 else "valid_ptr + sample"
        yield f"        there_{key.name} = tl.load({at})"


def _branches(bodies: list[tuple[Place, list[str]]]) -> Iterator[str]:
    """What a program does whose tile is of a segment, for each of them in turn."""
    if len(bodies) == 1:
        yield from (f"    {line}" for line in ("", *bodies[0][1]))
        return
    done = ""
    for place, body in bodies:
        if done:
            yield f"    tile -= {done}"
        done = place.count()
        yield ""
        yield f"    if (tile >= 0) & (tile < {done}):  # {place.side.name}"
        yield from (f"        {line}" for line in body)


def _condition(pair: Pair) -> Formula:
    """The condition on coordinates of both; of tables all that their formulas ask for."""
    mask, query, key = pair
    if not is_closed(mask):
        return tabled.conditions(pair)
    if isinstance(query, ClassPlace) and isinstance(key, ClassPlace):
        mask = query.inner
    return ALWAYS if mask == FULL else meaning(mask, query.geometry, key.geometry)


def _loops(kernel: Mask, pair: Pair, body: Body, turned: bool = False) -> list[str]:
    """The loops over tiles of one segment, around what is done with each."""
    mask, query, key = pair
    if is_closed(mask):
        lines = _of_formula(kernel, pair, body, turned)
    else:
        lines = tabled.loops(kernel, pair, body, turned)
    if not any(lines):
        return []
    if any(isinstance(axis.size, int) for s in (query, key) for axis in s.geometry.axes):
        counts = dict.fromkeys(str(place.side.count) for place in (query, key))
        given = " and ".join(f"{count} > 0" for count in counts)
        lines = [f"if {given}:", *(f"    {line}" for line in lines)]
    told = f"# {query.side.name} sees {key.side.name}: {unparse(mask)}"
    return [told if len(told) < 80 else told.partition(":")[0], *lines]


def _of_formula(kernel: Mask, pair: Pair, body: Body, turned: bool) -> list[str]:
    mask, query, key = pair
    condition = _condition(pair)
    found = loops(mask, query, key, turned)
    axis = _ROW if turned else _COLUMN
    there = f"(keys < there_{key.side.name}){axis}"
    ends = [] if isinstance(key, LinePlace) else [f"exist{axis}"]
    ends += [f"asked{_COLUMN}"] * turned
    other, letter = (query, "q") if turned else (key, "k")
    named = [kernel.named(other, letter, _COLUMN, text) for text in ("", as_source(condition))]
    whole = body(named[0], [f"seen = {there}"], "HAS_VALID")
    border = body(named[1], seen_lines(condition, [there, *ends]), "True")
    text = found.triton("\n".join(whole), "\n".join(border))
    return text.splitlines()


def _named(mask: Mask, pairs: Iterable[Pair], own: Place, letter: str) -> list[str]:
    """Statements that name the tokens of a program's own tile, and what conditions say of them."""
    conditions = " ".join(as_source(_condition(pair)) for pair in pairs)
    return [*own.found(letter), *mask.named(own, letter, _ROW, conditions)]


def _of_queries(mask: Mask, tiles: tuple[int, int]) -> Iterator[tuple[Place, str, list[Pair]]]:
    """Each segment of queries as tiles: where they stand, where it begins, and what it sees."""
    own, other = tiles
    for query in mask.sequence.queries:
        place = mask.place(query, own)
        pairs = [(m, place, mask.met(query, key, other)) for key, m in mask.seen_by(query)]
        yield place, _start(mask.sequence.queries, query), pairs


def _of_keys(mask: Mask, tiles: tuple[int, int]) -> Iterator[tuple[Place, str, list[Pair]]]:
    """The same of segments of keys, and what sees them."""
    own, other = tiles
    for key in mask.sequence.keys:
        place = mask.place(key, own)
        pairs = [(m, mask.met(key, query, other), place) for query, m in mask.seeing(key)]
        yield place, _start(mask.sequence.keys, key), pairs


def _start(sides: tuple[Side, ...], side: Side) -> str:
    """Where a segment begins."""
    return " + ".join(str(before.count) for before in sides[: sides.index(side)])


def _at(pointer: str, start: str, stride: str = "") -> str:
    """A pointer to the first token of a segment."""
    if not start:
        return pointer
    start = f"({start})" if "+" in start else start
    return f"{pointer} + {start} * {stride}" if stride else f"{pointer} + {start}"


def _rows(mask: Mask, tensor: str, start: str, token: str, column: str) -> str:
    """Source: tokens `queries[:, None]` of a tensor by its columns."""
    vector, _, axis = token.partition("[")
    exists = {"queries": "asked", "keys": "exist"}[vector]
    width = mask.value_width if column.startswith("c") else mask.width
    base = _at(f"{tensor}_ptr", start, f"{tensor}_t")
    tail = f"{tensor}_t, {exists}[{axis}, {width}, {mask.far}"
    return f"rows({base}, {token}, {column}, {tail})"


def _store(mask: Mask, tensor: str, start: str, vector: str, value: str) -> str:
    column = "c[None, :]" if tensor in ("y", "dv") else "w[None, :]"
    width = mask.value_width if tensor in ("y", "dv") else mask.width
    exists = {"queries": "asked", "keys": "exist"}[vector]
    base = _at(f"{tensor}_ptr", start, f"{tensor}_t")
    tail = f"{tensor}_t, {exists}{_ROW}, {value}, {width}, {mask.far}"
    return f"write({base}, {vector}{_ROW}, {column}, {tail})"


def _tail(mask: Mask, pair: Pair, turned: bool) -> Callable[[str], str]:
    """The last arguments of what a tile does: whether it is masked, and what is added to scores."""
    _, query, key = pair
    if query.side != key.side or query.side.name not in mask.lines:
        return str
    axes = (_COLUMN, _ROW) if turned else (_ROW, _COLUMN)
    places = ", ".join(
        f"{name}{axis}" for name, axis in zip(("queries", "keys"), axes, strict=True)
    )
    return lambda masked: f"{masked}, behind(relative_ptr, {places}, most)"


def _forward(mask: Mask) -> Iterator[str]:
    about = "A tile of queries of one head reads the keys that it sees."
    yield from _head(mask, "forward", about, "q k v y total valid")
    n = mask.tiles[0][0]
    bodies = []
    for place, start, pairs in _of_queries(mask, mask.tiles[0]):
        body = [
            *_named(mask, pairs, place, "q"),
            f"x = {_rows(mask, 'q', start, f'queries{_ROW}', f'w{_COLUMN}')}",
            f"best = tl.full([{n}], -1.0e30, tl.float32)",
            f"total = tl.zeros([{n}], tl.float32)",
            f"y = tl.zeros([{n}, {padded(mask.value_width)}], tl.float32)",
        ]
        for pair in pairs:
            body += _loops(mask, pair, _reader(mask, pair))
        body += [
            "y, total = settle(best, total, y)",
            _store(mask, "y", start, "queries", "y"),
            f"tl.store({_at('total_ptr', start)} + queries, total, mask=asked)",
        ]
        bodies.append((place, body))
    yield from _branches(bodies)


def _reader(mask: Mask, pair: Pair) -> Body:
    start, tail = _start(mask.sequence.keys, pair[2].side), _tail(mask, pair, turned=False)

    def body(named: list[str], seen: list[str], masked: str) -> list[str]:
        return [
            *named,
            f"k_wk = {_rows(mask, 'k', start, f'keys{_COLUMN}', f'w{_ROW}')}",
            f"v_kv = {_rows(mask, 'v', start, f'keys{_ROW}', f'c{_COLUMN}')}",
            *seen,
            f"best, total, y = read(x, best, total, y, k_wk, v_kv, seen, scale, {tail(masked)})",
        ]

    return body


def _backward_queries(mask: Mask) -> Iterator[str]:
    about = "The gradient of a tile of queries of one head."
    yield from _head(mask, "backward_q", about, "q k v g total delta valid dq")
    bodies = []
    for place, start, pairs in _of_queries(mask, mask.tiles[1]):
        body = [
            *_named(mask, pairs, place, "q"),
            f"x = {_rows(mask, 'q', start, f'queries{_ROW}', f'w{_COLUMN}')}",
            f"g = {_rows(mask, 'g', start, f'queries{_ROW}', f'c{_COLUMN}')}",
            *_sums(start),
            f"dx = tl.zeros([{mask.tiles[1][0]}, {padded(mask.width)}], tl.float32)",
        ]
        for pair in pairs:
            body += _loops(mask, pair, _puller(mask, pair))
        body.append(_store(mask, "dq", start, "queries", "dx * plain_scale"))
        bodies.append((place, body))
    yield from _branches(bodies)


def _sums(start: str) -> list[str]:
    """Log-sum-exp (in base 2) and delta of some queries."""
    totals, deltas = (f"{_at(f'{name}_ptr', start)} + queries" for name in ("total", "delta"))
    return [
        f"total = tl.load({totals}, mask=asked, other=0.0) * 1.4426950408889634",
        f"delta = tl.load({deltas}, mask=asked, other=0.0)",
    ]


def _puller(mask: Mask, pair: Pair) -> Body:
    start, tail = _start(mask.sequence.keys, pair[2].side), _tail(mask, pair, turned=False)

    def body(named: list[str], seen: list[str], masked: str) -> list[str]:
        return [
            *named,
            f"k_wk = {_rows(mask, 'k', start, f'keys{_COLUMN}', f'w{_ROW}')}",
            f"v_vk = {_rows(mask, 'v', start, f'keys{_COLUMN}', f'c{_ROW}')}",
            *seen,
            f"dx = pull(x, g, total, delta, dx, k_wk, v_vk, seen, scale, {tail(masked)})",
        ]

    return body


def _backward_keys(mask: Mask) -> Iterator[str]:
    about = "The gradients of a tile of keys and values, over all heads that share them."
    yield from _head(mask, "backward_k", about, "q k v g total delta valid dk dv")
    n = mask.tiles[2][0]
    bodies = []
    for place, start, pairs in _of_keys(mask, mask.tiles[2]):
        body = [
            *_named(mask, pairs, place, "k"),
            f"k_kw = {_rows(mask, 'k', start, f'keys{_ROW}', f'w{_COLUMN}')}",
            f"v_kv = {_rows(mask, 'v', start, f'keys{_ROW}', f'c{_COLUMN}')}",
            f"dk = tl.zeros([{n}, {padded(mask.width)}], tl.float32)",
            f"dv = tl.zeros([{n}, {padded(mask.value_width)}], tl.float32)",
        ]
        inner = []
        for pair in pairs:
            inner += _loops(mask, pair, _pusher(mask, pair), turned=True)
        if inner:
            inner += ["q_ptr += q_h", "g_ptr += g_h", "total_ptr += tokens", "delta_ptr += tokens"]
            inner += [f"relative_ptr += {_LINE}"] * bool(mask.lines)
            body += ["for _ in range(shared):", *(f"    {line}" for line in inner)]
        body.append(_store(mask, "dk", start, "keys", "dk * plain_scale"))
        body.append(_store(mask, "dv", start, "keys", "dv"))
        bodies.append((place, body))
    yield from _branches(bodies)


def _pusher(mask: Mask, pair: Pair) -> Body:
    start, tail = _start(mask.sequence.queries, pair[1].side), _tail(mask, pair, turned=True)
    given = "x_wq, g_vq, total, delta"

    def body(named: list[str], seen: list[str], masked: str) -> list[str]:
        return [
            *named,
            f"x_wq = {_rows(mask, 'q', start, f'queries{_COLUMN}', f'w{_ROW}')}",
            f"g_vq = {_rows(mask, 'g', start, f'queries{_COLUMN}', f'c{_ROW}')}",
            *_sums(start),
            *seen,
            f"dk, dv = push(k_kw, v_kv, dk, dv, {given}, seen, scale, {tail(masked)})",
        ]

    return body
