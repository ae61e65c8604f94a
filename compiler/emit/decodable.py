"""Which models decode: whether the next tokens of a modality need only kept keys of earlier ones.

A token of that modality must be made from itself, from earlier ones that attention sees, and from
what does not depend on the modality at all; so whatever pools or looks ahead on its way stops it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from mmspec.compiler import ir
from mmspec.compiler.relations.meaning.apart import looks_back
from mmspec.compiler.relations.meaning.definitions import widest
from mmspec.expressions.mask import NONE, Mask, is_packed, unparse

FREE: Final = "free"
"""Tokens that the modality never reaches: they are there before its first token is."""

OWN: Final = "own"
"""Tokens of the modality, each made from itself and earlier ones."""

_OPERATIONS: Final = 200_000


@dataclass(frozen=True, slots=True)
class Decoding:
    """A head whose next tokens can be had one by one, and the nodes they pass, in order."""

    head: ir.Head
    segment: ir.Segment
    nodes: tuple[ir.Node, ...]


def decoding(plan: ir.Plan) -> Decoding | None:
    """Of the first language-model head that decodes; None where none does."""
    for head in plan.heads:
        if head.segment is not None and refusal(plan, head) is None:
            value = head.sources[0]
            segment = next(s for s in value.segments if s.name == head.segment)
            return Decoding(head, segment, tuple(reversed([*_path(plan, value, segment)])))
    return None


def refusal(plan: ir.Plan, head: ir.Head) -> str | None:
    """Why the next tokens of a language-model head need more than kept keys; None: they do not."""
    assert head.segment is not None, head.name
    flow = _Flow(head.segment)
    for node in plan.nodes:
        flow.step(node)
    found = flow.states[head.sources[0].name, head.segment]
    return None if found == OWN else found


def _path(plan: ir.Plan, value: ir.Value, segment: ir.Segment) -> Iterator[ir.Node]:
    """Nodes that tokens of a segment pass on their way into a value, last first."""
    by = {node.out.name: node for node in plan.nodes}
    while True:
        yield (node := by[value.name])
        if isinstance(node, ir.Embed):
            return
        sources = node.sources if isinstance(node, ir.Fuse) else (node.source,)
        value = next(source for source in sources if segment in source.segments)


@dataclass(slots=True)
class _Flow:
    """What the tokens of every segment of every value are; a reason where they are neither."""

    modality: str
    states: dict[tuple[str, str], str] = field(default_factory=dict)

    def step(self, node: ir.Node) -> None:
        """Follow one node."""
        if isinstance(node, ir.Embed):
            why = f"tokens of {node.modality} are made of others too, of which nothing is kept yet"
            own = OWN if node.raw.reads is None else why
            row = {s.name: own if s.name == self.modality else FREE for s in node.out.segments}
            if node.sum.lead and self.modality in row:
                why = f"learned tokens lead those of {self.modality}, which decoding has not yet"
                row = dict.fromkeys(row, why)
        elif isinstance(node, ir.Project):
            row = self._row(node.source)
        elif isinstance(node, ir.Fuse):
            row = self._fused(node)
        else:
            row = self._stacked(node)
        self.states.update({(node.out.name, name): state for name, state in row.items()})

    def _row(self, *values: ir.Value) -> dict[str, str]:
        return {s.name: self.states[v.name, s.name] for v in values for s in v.segments}

    def _fused(self, node: ir.Fuse) -> dict[str, str]:
        row, every = self._row(*node.kept), self._row(*node.sources)
        if all(state == FREE for state in every.values()):
            return {segment.name: FREE for segment in node.out.segments}
        for reading in node.readings():
            if isinstance(reading, ir.Pool) and node.fusion.once is not None:
                pooled = self._row(*reading.values)
                if all(state == FREE for state in pooled.values()):
                    continue
            if isinstance(reading, ir.Pool) or reading.own:
                why = f"the {node.fusion.name} fusion of stream `{node.stream}`"
                return dict.fromkeys(
                    (segment.name for segment in node.out.segments),
                    f"{why} reads all tokens at once",
                )
            others = {segment.name: every[segment.name] for segment in reading.keys}
            where = f"the fusion of stream `{node.stream}`"
            row = self._attended(reading, (row, others), where)
        return row

    def _stacked(self, node: ir.Stack) -> dict[str, str]:
        row = self._row(node.source)
        if all(state == FREE for state in self._row(*node.sources).values()):
            return row
        if node.halting is not None:
            what = f"the {node.halting.words} of stream `{node.stream}`"
            return dict.fromkeys(row, f"{what} reads all tokens")
        if not node.variants:
            why = f"stream `{node.stream}` has no layers, of which decoding is not written yet"
            return dict.fromkeys(row, why)
        if len(node.crossing) > 1 or (node.crossing and len(node.variants) > 1):
            why = f"layers of stream `{node.stream}` read others more than once, or are of several"
            return dict.fromkeys(row, f"{why} kinds, of which decoding keeps no keys yet")
        if node.common is not None and len(node.variants) > 1:
            why = (
                f"layers of stream `{node.stream}` are of several kinds, and have scores in common"
            )
            return dict.fromkeys(row, why)
        if len({one.name for one in node.attending}) != 1 or not node.attends_once:
            why = f"the layers of stream `{node.stream}` do not each read tokens once, by one name"
            return dict.fromkeys(row, why)
        where = f"stream `{node.stream}`"
        idle = 0
        for block in node.layers(0, node.passed):
            after = row
            for site in block.attentions:
                keys = after if site.read is None else self._row(site.read)
                after = self._attended(site, (after, keys), where)
            idle, row = (idle + 1 if after == row else 0), after
            if idle == len(node.order):
                break
        return row

    def _attended(
        self,
        site: ir.Attention,
        rows: tuple[dict[str, str], dict[str, str]],
        where: str,
    ) -> dict[str, str]:
        """What queries are when they have read the keys that they see."""
        queries, keys = ({segment.name: segment for segment in side} for side in site.sides)
        found = dict(rows[0])
        for group in site.groups:
            for query, key, mask in group.masks:
                pair = queries[query], keys[key]
                state = found[query], rows[1][key]
                found[query] = _seen(pair, mask, state, rows[0] is rows[1], where)
        return found


def _seen(
    pair: tuple[ir.Segment, ir.Segment],
    mask: Mask,
    states: tuple[str, str],
    same: bool,
    where: str,
) -> str:
    """What a query is that sees a key; same: both are of one sequence."""
    query, key = states
    names = f"{pair[0].name} sees {pair[1].name} in {where}"
    if widest(mask) == NONE:
        return query
    if query == OWN and is_packed(mask):
        return f"{names} by documents, which come with a whole batch"
    if query not in (FREE, OWN) or key == FREE:
        return query
    if key != OWN:
        return key
    if query == FREE:
        return f"{names}, so what {pair[0].name} says changes with each token"
    if not same:
        return f"{names}, whose tokens come one by one too"
    return OWN if _is_causal(mask, pair[0]) else f"{names} by `{unparse(mask)}`, which looks ahead"


def _is_causal(mask: Mask, segment: ir.Segment) -> bool:
    """Whether no query sees a later key, at any length."""
    from mmspec.compiler.relations.limit import TooHardError, limited
    from mmspec.compiler.relations.meaning.relation import relation

    shown = widest(mask)
    if looks_back(shown):
        return True
    try:
        with limited(_OPERATIONS):
            return relation(shown, segment.geometry, segment.geometry).is_causal()
    except TooHardError:
        return False
