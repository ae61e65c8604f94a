"""Masks with tables -> loops of Triton kernels: documents narrow them, drawn blocks lead them.

Each term of a mask has the loops of its formula. Where documents must be shared they keep to the
tiles that any document of the program's tile reaches, without a predicate where all of them do.
Where blocks are drawn they go from one drawn block to the next; tiles divide blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mmspec.compiler.kernels.kernel_mask import Mask, seen_lines
from mmspec.compiler.kernels.kernel_mask import loops as formula_loops
from mmspec.compiler.kernels.places import LinePlace, Place
from mmspec.compiler.relations.meaning.definitions import meaning
from mmspec.compiler.relations.meaning.formula import ALWAYS, Both, Formula, Named, as_source, both
from mmspec.compiler.relations.meaning.sequence import Side
from mmspec.compiler.relations.meaning.terms import BLOCK, Term, draw_of, terms
from mmspec.expressions.mask import FULL, is_packed
from mmspec.expressions.mask import Mask as Expression

if TYPE_CHECKING:
    from mmspec.compiler.relations.loops.loops import Block, Loop, Run

Pair = tuple[Expression, Place, Place]
"""A mask, where its queries stand, and where its keys do."""

Body = Callable[[list[str], list[str], str], list[str]]
"""(statements that name the other tokens, those that say what is `seen`, whether a mask is looked
at) -> all."""

Draw = tuple[int, int, int, int]
"""Blocks of queries, how many each draws, of how many there can be, and the seed."""


def pointers(mask: Mask) -> tuple[str, ...]:
    """What its kernels read besides: spans of documents, blocks that are drawn."""
    return ("spans",) * bool(mask.sequence.packed) + ("draws",) * bool(draws(mask))


def draws(mask: Mask) -> tuple[Draw, ...]:
    """What is drawn for a mask, each once."""
    found = (
        draw_of(pattern, query, key)
        for query in mask.sequence.queries
        for key, shown in mask.seen_by(query)
        for term in terms(shown, key)
        for pattern, _ in term.literals
        if pattern.facts.is_drawn
    )
    return tuple(dict.fromkeys(found))


def entry(mask: Mask) -> list[str]:
    """Its fields in the table of kernels."""
    found = draws(mask)
    return [f"lists=partial(lists, ({', '.join(map(_draw, found))},))"] if found else []


def _draw(draw: Draw) -> str:
    names = ("rows", "blocks", "there", "seed")
    return f"Draw({', '.join(f'{n}={x}' for n, x in zip(names, draw, strict=True))})"


def conditions(pair: Pair) -> Formula:
    """What the formulas of a mask's terms ask of coordinates."""
    mask, query, key = pair
    return Both(tuple(_condition(term.closed, query, key) for term in terms(mask, key.side)))


def _condition(closed: Expression, query: Place, key: Place) -> Formula:
    return ALWAYS if closed == FULL else meaning(closed, query.geometry, key.geometry)


def loops(mask: Mask, pair: Pair, body: Body, turned: bool = False) -> list[str]:
    """The loops over tiles of one segment, term by term, around what is done with each."""
    shown, query, key = pair
    assert isinstance(query, LinePlace) and isinstance(key, LinePlace), pair
    site = _Site(mask, query, key, turned)
    nests = [_Nest(site, term, body) for term in terms(shown, key.side)]
    lines: list[str] = []
    if is_packed(shown):
        lines += site.document(any(nest.shared for nest in nests))
    return [*lines, *(line for nest in nests for line in nest.lines())]


@dataclass(frozen=True, slots=True)
class _Site:
    """A pair of segments in a kernel; turned: the program has a tile of keys, not of queries."""

    mask: Mask
    query: LinePlace
    key: LinePlace
    turned: bool

    @property
    def tiles(self) -> tuple[int, int]:
        """Tokens of a tile of queries, and of keys."""
        return self.query.tile, self.key.tile

    @property
    def other(self) -> str:
        """The tokens that the program goes through, beside those of its own tile."""
        place, vector, letter = (
            (self.query, "queries", "q") if self.turned else (self.key, "keys", "k")
        )
        return letter if len(place.geometry.axes) == 1 else f"{vector}[None, :]"

    def document(self, shared: bool) -> Iterator[str]:
        """Statements: where the documents of the program's tile begin and end, and in tiles.

        shared: whether tiles that no document reaches are passed over.
        """
        sequence, ends, vector = self.mask.sequence, (self.query.side, self.key.side), "queries"
        sides = sequence.queries, sequence.keys
        if self.turned:
            sides, ends, vector = sides[::-1], ends[::-1], "keys"
        own, others = ([s for s in side if s.name in sequence.packed] for side in sides)
        size = _sum(own)
        start = "".join(f"{side.count} + " for side in own[: own.index(ends[0])])
        sample, place = "sample", others.index(ends[1])
        if len(others) > 1:
            sample = f"(sample * {len(others)} + {place})" if place else f"sample * {len(others)}"
        tile, count = self.tiles[not self.turned], str(ends[1].count)
        token = f"tl.minimum({vector}, {ends[0].count} - 1)[:, None]"
        yield f"at = spans_ptr + {sample} * 2 * {size} + {start}{token}"
        yield "begin = tl.load(at)"
        yield f"end = tl.load(at + {size})"
        if not shared:
            return
        yield f"low = tl.min(tl.where(begin < end, begin, {count})) // {tile}"
        yield f"high = (tl.max(end) + {tile - 1}) // {tile}"
        yield f"inner = (tl.max(begin) + {tile - 1}) // {tile}"
        yield f"outer = tl.min(end) // {tile}"

    def in_block(self, axis: int) -> tuple[int, str]:
        """Tiles of queries (0) or of keys (1) in a block, and the block of the tile at hand."""
        many, name = BLOCK // self.tiles[axis], "ij"[axis]
        assert BLOCK % self.tiles[axis] == 0, self.tiles
        return many, name if many == 1 else f"{name} // {many}"

    def list_at(self, draw: Draw) -> tuple[int, int, int]:
        """Where the three lists of a draw begin."""
        found = draws(self.mask)
        rows, blocks, there, _ = draw
        before = found[: found.index(draw)]
        at = sum(2 * one[0] * one[1] + one[2] + 1 for one in before)
        return at, at + rows * blocks, at + rows * blocks + there + 1


@dataclass(frozen=True, slots=True)
class _Nest:
    """The loops of one term."""

    site: _Site
    term: Term
    body: Body

    def lines(self) -> list[str]:
        """Its statements."""
        return [*(self._tiles() if self.lead is None else self._drawn_tiles(self.lead))]

    @property
    def lead(self) -> Draw | None:
        """The drawn blocks that its loops go through."""
        found = (p for p, holds in self.term.literals if holds and p.facts.is_drawn)
        pattern = next(found, None)
        return (
            None if pattern is None else draw_of(pattern, self.site.query.side, self.site.key.side)
        )

    @property
    def shared(self) -> bool:
        """Whether query and key are of one document."""
        return any(holds and pattern.facts.is_packed for pattern, holds in self.term.literals)

    def _tiles(self) -> Iterator[str]:
        """Loops over the tiles of the formula that the tables leave.

        Where those follow one another they are one loop, and one more for those that all
        documents reach and the formula shows all of.
        """
        site = self.site
        found = formula_loops(self.term.closed, site.query, site.key, site.turned)
        yield from self._nodes(found.body)

    def _nodes(self, block: Block) -> Iterator[str]:
        from mmspec.compiler.relations.loops.loops import Run

        runs = [node for node in block if isinstance(node, Run) and node.step == 1]
        whole = [run for run in runs if run.whole]
        if not runs or len(runs) < len(block) or len(whole) > 1 or self._is_tile(runs[0]):
            yield from self._apart(block)
            return
        hull = replace(runs[0], stop=runs[-1].stop)
        if whole and self.shared and len(self.term.literals) == 1:
            yield from self._split(hull, whole[0])
        else:
            yield from self._loop(hull, self._border(self.term.closed))

    def _list(self, draw: Draw, at: str) -> tuple[str, str, str]:
        """Ends of the draws of the tile at hand, and the block of the one at some place."""
        site, (picks, ends, rows) = self.site, self.site.list_at(draw)
        _, block = site.in_block(int(site.turned))
        if site.turned:
            where = f"draws_ptr + {ends} + {block}"
            return (
                f"tl.load({where})",
                f"tl.load({where} + 1)",
                f"tl.load(draws_ptr + {rows} + {at})",
            )
        row = f"{block} * {draw[1]}" if picks == 0 else f"{picks} + {block} * {draw[1]}"
        return "0", str(draw[1]), f"tl.load(draws_ptr + {row} + {at})"

    def _drawn_tiles(self, draw: Draw) -> Iterator[str]:
        """One loop through the tiles of all drawn blocks, whatever else the mask says of them."""
        many, _ = self.site.in_block(int(not self.site.turned))
        first, stop, place = self._list(draw, "t" if many == 1 else f"t // {many}")
        if many > 1:
            first = first if first == "0" else f"{first} * {many}"
            stop = str(draw[1] * many) if stop.isdigit() else f"{stop} * {many}"
            place = f"{place} * {many} + t % {many}"
        yield f"for t in tl.range({first}, {stop}):"
        yield f"    {self._name} = {place}"
        yield from (f"    {line}" for line in self._border(self.term.closed))

    @property
    def _name(self) -> str:
        return "i" if self.site.turned else "j"

    def _is_tile(self, run: Run) -> bool:
        """Whether it is the one tile that a loop around it is at."""
        from mmspec.compiler.relations.syntax import added

        return (run.start, run.stop) == (self._name, added(self._name, 1))

    def _apart(self, block: Block) -> Iterator[str]:
        """A loop for each run."""
        from mmspec.compiler.relations.loops.loops import If, Loop
        from mmspec.compiler.relations.syntax import write

        for node in block:
            if isinstance(node, If):
                yield f"if {write(node.condition, 'triton')}:"
                yield from (f"    {line}" for line in self._nodes(node.body))
                if node.otherwise:
                    yield "else:"
                    yield from (f"    {line}" for line in self._nodes(node.otherwise))
            elif isinstance(node, Loop):
                yield from self._loop(node, [*self._nodes(node.body)])
            elif self._is_tile(node):
                yield from self._border(FULL if node.whole else self.term.closed)
            else:
                yield from self._loop(node, self._border(FULL if node.whole else self.term.closed))

    def _ends(self, node: Run | Loop) -> tuple[str, str]:
        """Ends of a loop within what the tables leave of it."""
        from mmspec.compiler.relations.syntax import write

        first, stop = (write(end, "triton") for end in (node.start, node.stop))
        if not self.shared:
            return first, stop
        if node.step != 1:
            past = f"max(low - ({first}), 0)"
            first = f"{first} + ({past} + {node.step - 1}) // {node.step} * {node.step}"
        elif first != "0":
            first = f"max({first}, low)"
        return "low" if first == "0" else first, f"min({stop}, high)"

    def _loop(self, node: Run | Loop, body: list[str]) -> Iterator[str]:
        first, stop = self._ends(node)
        step = f", {node.step}" if node.step != 1 else ""
        yield f"for {self._name} in tl.range({first}, {stop}{step}):"
        yield from (f"    {line}" for line in body)

    def _split(self, all_: Run, whole: Run) -> Iterator[str]:
        """Tiles that are looked at, and those between them that need not be."""
        from mmspec.compiler.relations.syntax import write

        first, stop = self._ends(all_)
        inner, outer = (write(end, "triton") for end in (whole.start, whole.stop))
        yield f"start = {first}"
        yield f"stop = {stop}"
        lower = ["start", "inner"] if inner == "0" else ["start", inner, "inner"]
        yield f"left = {_most('max', lower)}"
        yield f"right = max(left, {_most('min', ['stop', outer, 'outer'])})"
        yield "for t in tl.range(0, left - start + stop - right):"
        yield f"    {self._name} = tl.where(start + t < left, start + t, start + t - left + right)"
        yield from (f"    {line}" for line in self._border(self.term.closed))
        yield f"for {self._name} in tl.range(left, right):"
        yield from (f"    {line}" for line in self._done(ALWAYS, [], "HAS_VALID"))

    def _border(self, closed: Expression) -> list[str]:
        """A tile of which a predicate is asked: that of a formula, and those of the tables."""
        site = self.site
        parts, named = [_condition(closed, site.query, site.key)], list[str]()
        for pattern, holds in self.term.literals:
            if pattern.facts.is_packed:
                parts.append(Named("document", holds))
                named.append(f"document = (begin <= {site.other}) & ({site.other} < end)")
                continue
            draw = draw_of(pattern, site.query.side, site.key.side)
            if not holds or draw != self.lead:
                name = f"drawn_{len(parts)}"
                parts.append(Named(name, holds))
                named += self._hit(name, draw)
        return self._done(both(*parts), named, "True")

    def _done(self, condition: Formula, tables: list[str], masked: str) -> list[str]:
        """What is done with a tile, of which some pairs are seen."""
        site = self.site
        ends = [f"(keys < there_{site.key.side.name}){'[:, None]' if site.turned else '[None, :]'}"]
        if site.turned and masked == "True":
            ends.append("asked[None, :]")
        other, letter = (site.query, "q") if site.turned else (site.key, "k")
        said = " ".join((as_source(condition), *(line.partition("=")[2] for line in tables)))
        named = [*site.mask.named(other, letter, "[None, :]", said), *tables]
        return self.body(named, seen_lines(condition, ends), masked)

    def _hit(self, name: str, draw: Draw) -> Iterator[str]:
        """Statements: whether the tile of keys is in a block drawn for the tile of queries."""
        picks, _, _ = self.site.list_at(draw)
        (_, row), (_, block) = self.site.in_block(0), self.site.in_block(1)
        first = f"draws_ptr + {picks}" if picks else "draws_ptr"
        yield f"place = tl.arange(0, {1 << (draw[1] - 1).bit_length()})"
        at = f"{first} + {row} * {draw[1]} + place"
        yield f"picked = tl.load({at}, mask=place < {draw[1]}, other=-1)"
        yield f"{name} = tl.max((picked == {block}).to(tl.int32), 0) > 0"


def _most(name: str, parts: list[str]) -> str:
    """The greatest or least, two at a time as Triton has them."""
    text = parts[-1]
    for part in reversed(parts[:-1]):
        text = f"{name}({part}, {text})"
    return text


def _sum(sides: list[Side]) -> str:
    """The tokens of segments together."""
    text = " + ".join(str(side.count) for side in sides)
    return f"({text})" if len(sides) > 1 else text
