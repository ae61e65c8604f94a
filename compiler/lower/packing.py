"""Packed documents: whether tokens of one may depend on another's, and what is said of that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from mmspec.compiler import ir
from mmspec.compiler.relations.meaning.definitions import widest
from mmspec.compiler.relations.meaning.terms import with_documents
from mmspec.diagnostics import Span
from mmspec.expressions.mask import NONE, Mask, is_packed, patterns, unparse

_ATTENDS: Final = (ir.Fuse, ir.Stack)

_OPERATIONS: Final = 200_000


@dataclass(frozen=True, slots=True)
class Note:
    """What is no error, but should be known: a sentence, and the line that it is about."""

    text: str
    span: Span | None


@dataclass(frozen=True, slots=True)
class _Sight:
    """A segment that sees another in some head, and where."""

    where: str
    query: ir.Segment
    key: ir.Segment
    mask: Mask
    span: Span | None

    def __str__(self) -> str:
        return f"in {self.where}, {self.query.name} sees {self.key.name} by `{unparse(self.mask)}`"


def separate(nodes: tuple[ir.Node, ...]) -> tuple[str, ...]:
    """Modalities whose documents are asked for, where no token depends on another document."""
    asked = _asked(nodes)
    return () if not asked or next(_crossings(nodes, asked), None) else asked


def notes(plan: ir.Plan) -> tuple[Note, ...]:
    """Why packed documents are not what they are when each is a sample of its own."""
    asked = _asked(plan.nodes)
    if not asked:
        return ()
    crossing = next(_crossings(plan.nodes, asked), None)
    if crossing is not None:
        end = "so packed documents are not separate: positions and losses run on from one to the"
        return (Note(f"{crossing.text}, {end} next", crossing.span),)
    found = [
        Note(f"{sight}, which counts from the start of the sample, not of the document", sight.span)
        for node in plan.nodes
        for sight in _sights(node)
        if sight.query.modality in asked and not _moves(sight, sight.key.modality in asked)
    ]
    for head in plan.heads:
        held = {segment.modality for value in head.sources for segment in value.segments}
        if head.answer.pools and held & {*asked}:
            found.append(Note(f"head `{head.name}` reads all documents of a sample", head.span))
    return tuple(dict.fromkeys(found))


def _asked(nodes: tuple[ir.Node, ...]) -> tuple[str, ...]:
    """Modalities of which masks ask for documents, in the order they are embedded."""
    if not any(
        site.packed for node in nodes if isinstance(node, _ATTENDS) for site in node.attentions
    ):
        return ()
    found = {
        segment.modality
        for node in nodes
        for sight in _sights(node)
        if is_packed(sight.mask)
        for segment in (sight.query, sight.key)
    }
    names = (node.modality for node in nodes if isinstance(node, ir.Embed))
    return tuple(dict.fromkeys(name for name in names if name in found))


def _sights(node: ir.Node) -> Iterator[_Sight]:
    """Who sees whom in the attention of a node, each mask once."""
    if isinstance(node, ir.Project):
        return
    if isinstance(node, ir.Embed):
        segment = node.own
        if node.raw.reads is not None:
            where = f"the embedding of `{segment.name}`"
            yield _Sight(where, segment, segment, node.raw.reads, node.span)
        return
    where = f"{'the fusion of ' * isinstance(node, ir.Fuse)}stream `{node.stream}`"
    readings = node.readings() if isinstance(node, ir.Fuse) else node.attentions
    for site in readings:
        if isinstance(site, ir.Pool) or (site.own and isinstance(node, ir.Fuse)):
            continue
        sides = {s.name: s for s in site.queries}, {s.name: s for s in site.keys}
        for query, key, mask in dict.fromkeys(p for group in site.groups for p in group.masks):
            yield _Sight(where, sides[0][query], sides[1][key], mask, node.span)


def _crossings(nodes: tuple[ir.Node, ...], asked: tuple[str, ...]) -> Iterator[Note]:
    """Places where something reads tokens of several documents, in words."""
    for node in nodes:
        if isinstance(node, ir.Fuse):
            held = {segment.modality for value in node.pooled for segment in value.segments}
            if held & {*asked}:
                kind = node.fusion.name
                what = f"the {kind} fusion of stream `{node.stream}` reads all tokens at once"
                yield Note(what, node.span)
        if isinstance(node, ir.Stack) and node.decision() is not None:
            held = {segment.modality for segment in node.source.segments}
            if held & {*asked}:
                yield Note(f"the halting of stream `{node.stream}` reads all tokens", node.span)
        for sight in _sights(node):
            if sight.key.modality in asked and _crosses(sight, sight.query.modality in asked):
                yield Note(f"{sight}, also in other documents", sight.span)


def _crosses(sight: _Sight, packed: bool) -> bool:
    """Whether a query may see a key of another document; packed: whether it is of one itself."""
    outside = widest(with_documents(sight.mask, NONE) if packed else sight.mask)
    if outside == NONE:
        return False
    from mmspec.compiler.relations.isl import isl
    from mmspec.compiler.relations.limit import TooHardError, limited
    from mmspec.compiler.relations.meaning.relation import relation

    query, key = sight.query, sight.key
    try:
        with limited(_OPERATIONS):
            visible = relation(outside, query.geometry, key.geometry).visible
            if query == key:  # a token is of its own document, whatever shows it to itself
                visible = visible.subtract(isl.Map.identity(visible.get_space()))
            sizes = {s: side.tokens.max for side in (query, key) for s in side.geometry.symbols}
            facts = " and ".join(f"{name} <= {most}" for name, most in sizes.items())
            admitted = isl.Set(f"[{', '.join(sizes)}] -> {{ : {facts} }}") if sizes else None
            return not (visible.intersect_params(admitted) if admitted else visible).is_empty()
    except TooHardError:
        return True


def _moves(sight: _Sight, packed: bool) -> bool:
    """Whether a document sees the same wherever it begins; packed: the keys are of documents."""
    every = [pattern.facts for pattern in patterns(sight.mask)]
    if not packed:
        return all(facts.looks_at in ("neither", "key") for facts in every)
    if sight.query != sight.key:
        return all(facts.by in ("nothing", "documents") for facts in every)
    return all(facts.moves for facts in every)
