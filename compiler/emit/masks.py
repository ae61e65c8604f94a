"""Masks -> the source of functions that say which keys a query sees, of all pairs."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial, reduce

from mmspec.compiler import ir
from mmspec.compiler.relations.loops.arrangement import coordinates
from mmspec.compiler.relations.meaning.definitions import meaning
from mmspec.compiler.relations.meaning.formula import (
    Formula,
    as_source,
    as_statements,
    balanced,
    both,
    either,
    negate,
)
from mmspec.compiler.relations.meaning.geometry import line
from mmspec.expressions import mask as masks
from mmspec.expressions.mask import FULL, NONE

_LONG = 60
_LINE = 90
"""Characters of a name and its condition in the body of a function."""
_ROOM = 68
"""Characters of a part of a condition that is longer."""
_SUMMARY = 93
"""Characters of the first line of a docstring."""
Pairs = ir.Pairs
Groups = tuple[ir.Group, ...]
Segments = tuple[ir.Segment, ...]


def is_causal(site: ir.Attention) -> bool:
    """Whether it is self-attention of one segment under plain `causal`, which SDPA knows."""
    shown = [mask for group in site.groups for *_, mask in group.masks]
    alone = site.own and len(site.queries) == len(site.groups) == 1 and site.queries == site.keys
    return alone and site.inner is None and shown == [masks.Pattern("causal")]


def is_full(site: ir.Attention) -> bool:
    """Whether every query sees every key in every head."""
    return all(_is_full(group.masks, *site.sides) for group in site.groups)


def _is_full(pairs: Pairs, queries: Segments, keys: Segments) -> bool:
    every = len(pairs) == len(queries) * len(keys)
    return every and all(mask is FULL or mask == FULL for *_, mask in pairs)


def terms(mask: masks.Mask, query: ir.Segment, key: ir.Segment) -> tuple[list[str], str]:
    """A mask as one expression, or as a statement a pattern and what joins them when long."""
    whole = expression(mask, query, key)
    if isinstance(mask, masks.Pattern) and len(whole) + len("seen_qk") > _LINE:
        return _named("seen_qk", mask, query, key), "seen_qk"
    if len(whole) <= _LONG or isinstance(mask, masks.Pattern):
        return [], whole
    names: dict[masks.Pattern, str] = {}

    def word(pattern: masks.Pattern) -> str:
        number = sum(known.name == pattern.name for known in names) + 1
        return names.setdefault(pattern, f"{pattern.name}{number if number > 1 else ''}_qk")

    joined = masks.write(_once(mask), word, grouped=False)
    named = (_named(name, one, query, key) for one, name in names.items())
    return [statement for statements in named for statement in statements], joined


def _once(mask: masks.Mask) -> masks.Mask:
    """The mask, in which nothing that is joined by one sign stands twice."""

    def parts(of: masks.Mask, sign: type[masks.And | masks.Or]) -> tuple[masks.Mask, ...]:
        return (*parts(of.left, sign), *parts(of.right, sign)) if isinstance(of, sign) else (of,)

    def joined(sign: type[masks.And | masks.Or], one: masks.Mask, other: masks.Mask) -> masks.Mask:
        return reduce(sign, dict.fromkeys((*parts(one, sign), *parts(other, sign))))

    both, either = partial(joined, masks.And), partial(joined, masks.Or)
    return masks.fold(mask, lambda pattern: pattern, masks.Not, both, either)


def _named(name: str, pattern: masks.Pattern, query: ir.Segment, key: ir.Segment) -> list[str]:
    """Statements that give a name to what a pattern says."""
    whole = expression(pattern, query, key)
    if len(name) + len(whole) <= _LINE or not pattern.facts.is_formula:
        return [f"{name} = {whole}"]
    return as_statements(_formula(pattern, query, key), name, _ROOM)


def expression(mask: masks.Mask, query: ir.Segment, key: ir.Segment) -> str:
    """A mask over the coordinates, as Python source.

    `q` is a column and `k` a row of indices; in grids also `q_row`, `k_column` and so on.
    """
    if all(pattern.facts.is_formula for pattern in masks.patterns(mask)):
        parts = partial(_formula, query=query, key=key)
        return as_source(balanced(masks.fold(mask, parts, negate, both, either)))

    def of_pattern(pattern: masks.Pattern) -> str:
        if pattern.facts.is_packed:
            return "q_document == k_document"
        if pattern.facts.is_drawn:
            return f"random_blocks({query.name}, {key.name}, {drawn(pattern, key)}, device)"
        return as_source(_formula(pattern, query, key))

    return combined(mask, of_pattern)


def drawn(pattern: masks.Pattern, key: ir.Segment) -> str:
    """The arguments of what draws blocks: how many, of how many there can be, and the seed."""
    draws = pattern.size("blocks"), -(-key.tokens.max // 64)
    return f"{draws}, {pattern.size('seed')}"


def combined(mask: masks.Mask, word: Callable[[masks.Pattern], str]) -> str:
    """A mask as Python source, by that of its patterns; `&` and `|` of what is in parentheses."""
    return masks.fold(mask, word, "~({})".format, "({}) & ({})".format, "({}) | ({})".format)


def _formula(pattern: masks.Pattern, query: ir.Segment, key: ir.Segment) -> Formula:
    flat = pattern.facts.by == "order"
    ends = (line("n") if flat else segment.geometry for segment in (query, key))
    return balanced(meaning(pattern, *ends))


def _coordinates(mask: masks.Mask, query: ir.Segment, key: ir.Segment) -> Iterator[tuple[str, str]]:
    """Names of the coordinates that the patterns of a mask use, and what they are."""
    if masks.is_packed(mask):
        yield "q_document", f"{query.name}_document_bt[:, :, None]"
        yield "k_document", f"{key.name}_document_bt[:, None]"
    formulas = [one.facts for one in masks.patterns(mask) if one.facts.is_formula]
    if any(facts.looks_at != "key" for facts in formulas):
        yield "q", f"torch.arange({query.name}, device=device)[:, None]"
    if formulas:
        yield "k", f"torch.arange({key.name}, device=device)"
    used = set(re.findall(r"\b[qk]_[a-z]+", expression(mask, query, key)))
    known = dict([*coordinates(query.geometry, "q"), *coordinates(key.geometry, "k")])
    for axis in ("frame", "row", "column"):
        yield from ((name, known[name]) for name in (f"q_{axis}", f"k_{axis}") if name in used)


@dataclass
class _Coordinates:
    """Coordinates that a function has named so far, each with what it is made of."""

    known: dict[str, tuple[str, str]] = field(default_factory=dict)

    def statements(self, coordinates: Iterable[tuple[str, str]]) -> Iterator[str]:
        """What names those that it has not: both sides of an axis in one statement."""
        new: dict[str, dict[str, str]] = {}
        for name, value in coordinates:
            side, _, axis = name.partition("_")
            made = value, self.known.get(side, ("", ""))[0] if axis else ""
            if self.known.get(name) != made:
                self.known[name] = made
                new.setdefault(axis or side, {})[name] = value
        for found in new.values():
            yield f"{', '.join(found)} = {', '.join(found.values())}"


def function(
    name: str,
    owner: str,
    pairs: Pairs,
    sides: tuple[Segments, Segments],
    packed: tuple[str, ...] = (),
) -> str:
    """The source of a mask function: lengths of the segments -> bool [Tq, Tk].

    packed: segments whose documents it takes too, for a mask of each sample.
    """
    return "\n".join(_function(name, owner, (pairs, packed), *sides)) + "\n"


def parameters(queries: Segments, keys: Segments) -> tuple[str, ...]:
    """Names of a mask function's length parameters: each segment once."""
    return tuple(dict.fromkeys(segment.name for segment in (*queries, *keys)))


def documents(groups: Groups) -> tuple[str, ...]:
    """Segments whose documents the masks ask for."""
    found = [
        segment
        for group in groups
        for query, key, mask in group.masks
        if masks.is_packed(mask)
        for segment in (query, key)
    ]
    return tuple(dict.fromkeys(found))


def _function(
    name: str, owner: str, shown: tuple[Pairs, tuple[str, ...]], queries: Segments, keys: Segments
) -> Iterator[str]:
    """shown: the masks, and the segments whose documents the function takes."""
    pairs, packed = shown
    statements = list(_statements(pairs, packed, queries, keys))
    told = {segment: "int" for segment in parameters(queries, keys)}
    told |= {f"{segment}_document_bt": "Tensor" for segment in packed}
    told["device"] = "torch.device"
    read = set(re.findall(r"\w+", "\n".join(statements)))
    given = [f"{each}: {kind}" for each, kind in told.items() if each in read]
    yield f"def {name}({', '.join(given)}) -> Tensor:"
    shape = "B, Tq, Tk" if packed else "Tq, Tk"
    about = f"Which keys each query of {owner} sees: bool [{shape}]."
    if len(about) > _SUMMARY:
        yield f'    """Which keys each query sees: bool [{shape}].'
        yield ""
        about = f"Queries of {owner}:"
        yield from textwrap.wrap(about, 96, initial_indent="    ", subsequent_indent="        ")
    else:
        yield f'    """{about}'
        yield ""
    for seeing, seen, mask in pairs or ((queries[0].name, keys[0].name, NONE),):
        text = f"{seeing} sees {seen}: {masks.unparse(mask)}"
        yield from textwrap.wrap(text, 96, initial_indent="    ", subsequent_indent="        ")
    yield '    """'
    yield from statements


def taken(function: str) -> list[str]:
    """What a mask function takes, by its source."""
    return re.findall(r"(\w+): ", function.partition(") -> ")[0])


def _statements(
    pairs: Pairs, packed: tuple[str, ...], queries: Segments, keys: Segments
) -> Iterator[str]:
    batch = "batch" if packed else ""
    single = len(queries) == len(keys) == 1
    known = _Coordinates()
    blocks = [
        line
        for query in queries
        for key in keys
        for line in _block(
            _mask(pairs, query.name, key.name),
            (query, key),
            "return" if single else f"{query.name}_sees_{key.name} =",
            batch,
            known,
        )
    ]
    if any("(batch, " in line for line in blocks):
        yield f"    batch = {packed[0]}_document_bt.shape[0]"
    yield from blocks
    if single:
        return
    yield "    return torch.cat("
    yield "        ["
    for query in queries:
        row = ", ".join(f"{query.name}_sees_{key.name}" for key in keys)
        yield f"            torch.cat([{row}], dim={2 if packed else 1}),"
    yield "        ]," if packed else "        ]"
    if packed:
        yield "        dim=1,"
    yield "    )"


def _mask(pairs: Pairs, query: str, key: str) -> masks.Mask:
    return next((m for a, b, m in pairs if (a, b) == (query, key)), NONE)


def _block(
    mask: masks.Mask,
    segments: tuple[ir.Segment, ir.Segment],
    target: str,
    batch: str,
    known: _Coordinates,
) -> Iterator[str]:
    """Statements that give `target` the mask of a pair, of every sample where there is a batch."""
    query, key = segments
    if mask in (FULL, NONE):
        fill = "ones" if mask == FULL else "zeros"
        size = f"{batch}, {query.name}, {key.name}" if batch else f"{query.name}, {key.name}"
        yield f"    {target} torch.{fill}({size}, dtype=torch.bool, device=device)"
        return
    for statement in known.statements(_coordinates(mask, query, key)):
        yield f"    {statement}"
    before, last = terms(mask, query, key)
    if before and before[-1].startswith(f"{last} = "):
        last = before.pop().removeprefix(f"{last} = ")
    yield from (f"    {statement}" for statement in before)
    of_keys = all(one.facts.looks_at == "key" for one in masks.patterns(mask))
    spread = f".expand({query.name}, -1)" if of_keys else ""
    if batch and not masks.is_packed(mask):
        spread = f".expand({batch}, {query.name}, {key.name})"
    if spread and len(last) > _LONG:
        yield f"    seen_qk = {last}"
        last = "seen_qk"
    yield f"    {target} ({last}){spread}" if spread else f"    {target} {last}"
