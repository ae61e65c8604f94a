"""How the sites of a stack are told whom they see: by patterns, by SDPA's own word, or by masks.

What parts do not read is left out, so that those of streams that compute alike are made once.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

from mmspec.compiler import ir
from mmspec.compiler.emit import masks, sparse
from mmspec.compiler.emit.sparse import Backend
from mmspec.expressions.mask import is_packed


def resolved(node: ir.Stack, backend: Backend) -> ir.Stack:
    """The stack whose sites know their patterns, and whose sub-layers know their masks."""
    sites = masked(node, backend)
    variants = (
        replace(block, sublayers=tuple(_told(one, node, sites, backend) for one in block.sublayers))
        for block in node.variants
    )
    out = replace(node.out, name="", segments=())
    scored = tuple(i for i, site in enumerate(sites) if site.scores and site.scores.tied)
    scored = scored if len(sites) > 1 else ()
    bare = replace(node, module="", stream="", span=None, source=out, out=out, scored=scored)
    return replace(bare, variants=tuple(variants))


def masked(node: ir.Stack, backend: Backend) -> list[ir.Attention]:
    """Sites that read a mask, of those alike the first: what their stack is to be given."""
    found = {_key(site): site for site in reversed(node.attentions) if _reads(site, backend)}
    return [site for site in node.attentions if found.get(_key(site)) is site]


def _told(
    one: ir.Sublayer, node: ir.Stack, sites: list[ir.Attention], backend: Backend
) -> ir.Sublayer:
    site = one.mixer
    if not isinstance(site, ir.Attention):
        return one
    shown, causal = sparse.patterns(site, backend), masks.is_causal(site)
    keys = [_key(each) for each in sites]
    place = keys.index(_key(site)) if len(sites) > 1 and _key(site) in keys else None
    several = len(node.contexts) > 1
    context = node.contexts.index(site.read) if several and site.read is not None else None
    rotaries, turn = node.rotaries, None
    if len(rotaries) > 1 and site.rotary is not None:
        turn = rotaries.index(site.rotary.angles)
    groups = tuple(replace(group, masks=_asked(group)) for group in site.groups)
    scores = site.scores and site.scores.untied
    mixer = replace(site, groups=groups, shown=shown, causal=causal, read=None, scores=scores)
    return replace(one, mixer=mixer, place=place, turn=turn, context=context)


def _asked(group: ir.Group) -> ir.Pairs:
    """Of its masks one that asks for documents, if any does: a part reads whether."""
    return next(((("", "", mask),) for *_, mask in group.masks if is_packed(mask)), ())


def _key(site: ir.Attention) -> Hashable:
    """What tells masks apart: whose tokens they are of, and by whom; all that show all are one."""
    tied = site.scores is not None and site.scores.tied
    return site.read and site.read.name, tied, "full" if masks.is_full(site) else site.owner


def _reads(site: ir.Attention, backend: Backend) -> bool:
    """Whether it takes a mask, or where documents begin and end."""
    if sparse.passes_over(site, backend):
        return bool(masks.documents(site.groups))
    return not masks.is_causal(site)
