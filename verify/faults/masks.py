"""Faults of masks: what they show, between which segments, in which heads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mmspec.compiler import ir
from mmspec.expressions import mask as masks
from mmspec.verify.faults.fault import Fault, mixers, plan, source
from mmspec.verify.faults.specs import (
    CAPTION,
    HEARD,
    JOINED,
    PLACED,
    READ,
    ROUTED,
    SCREENED,
    TOWERS,
)

Change = Callable[[masks.Mask], masks.Mask]


def _sized(name: str, argument: str, by: int) -> Change:
    """Change a number of every pattern of that name."""

    def change(pattern: masks.Pattern) -> masks.Mask:
        if pattern.name != name:
            return pattern
        given = dict(pattern.arguments)
        return masks.Pattern(name, tuple((given | {argument: pattern.size(argument) + by}).items()))

    return lambda mask: masks.rewrite(mask, change)


def united(mask: masks.Mask) -> masks.Mask:
    """Intersections become unions."""

    def of_pattern(pattern: masks.Pattern) -> masks.Mask:
        return pattern

    return masks.fold(mask, of_pattern, masks.Not, masks.Or, masks.Or)


def masked(change: Change) -> Callable[[ir.Plan], ir.Plan]:
    """Change every mask of every stack."""

    def changed(site: ir.Attention) -> ir.Attention:
        groups = tuple(
            replace(group, masks=tuple((q, k, change(mask)) for q, k, mask in group.masks))
            for group in site.groups
        )
        return replace(site, groups=groups)

    return mixers(ir.Attention, changed)


def _paired(query: str, key: str, mask: str | None) -> Callable[[ir.Plan], ir.Plan]:
    """Give one ordered pair of segments another mask, or none."""

    def changed(site: ir.Attention) -> ir.Attention:
        groups = []
        for group in site.groups:
            others = [pair for pair in group.masks if pair[:2] != (query, key)]
            given = [] if mask is None else [(query, key, masks.parse(mask))]
            groups.append(replace(group, masks=(*others, *given)))
        return replace(site, groups=tuple(groups))

    return mixers(ir.Attention, changed)


def widened() -> Callable[[ir.Plan], ir.Plan]:
    """Every window one key wider."""
    return masked(_sized("window", "before", 1))


def _instead(one: str, other: str) -> Change:
    """One pattern in place of another."""
    said, meant = masks.parse(one), masks.parse(other)
    return lambda mask: masks.rewrite(mask, lambda part: meant if part == said else part)


def _grouped(
    change: Callable[[list[ir.Pairs]], list[ir.Pairs]],
) -> Callable[[ir.Plan], ir.Plan]:
    """Change which group of heads sees what."""

    def changed(site: ir.Attention) -> ir.Attention:
        shown = change([group.masks for group in site.groups])
        pairs = zip(site.groups, shown, strict=True)
        return replace(site, groups=tuple(replace(group, masks=masks) for group, masks in pairs))

    return mixers(ir.Attention, changed)


FAULTS: tuple[Fault, ...] = (
    Fault(
        "window-keeps-one-more",
        "a window shows one key more than it says",
        JOINED,
        ("P3", "P59"),
        plan(widened()),
    ),
    Fault(
        "window-keeps-one-less",
        "a window hides its farthest key",
        JOINED,
        ("P3",),
        plan(masked(_sized("window", "after", -1))),
    ),
    Fault(
        "block-size",
        "blocks are one token larger",
        TOWERS,
        ("P3",),
        plan(masked(_sized("block", "size", 1))),
    ),
    Fault(
        "dilated-step",
        "a dilated mask shows every key within its reach",
        ROUTED,
        ("P3", "P59"),
        plan(masked(_sized("dilated", "step", -1))),
    ),
    Fault(
        "masks-united",
        "`causal & dilated` shows what either of them shows",
        ROUTED,
        ("P3", "P6", "P1"),
        plan(masked(united)),
    ),
    Fault(
        "causal-looks-ahead",
        "a causal mask also shows the next token",
        ROUTED,
        ("P6", "P1", "P3"),
        plan(masked(lambda _: masks.parse("window(before=100, after=1)"))),
    ),
    Fault(
        "image-sees-text",
        "a pair of modalities that is not named is full",
        CAPTION,
        ("P1", "P3", "P6"),
        plan(_paired("image", "text", "full")),
    ),
    Fault(
        "pair-forgotten",
        "a pair of modalities that is named sees nothing",
        CAPTION,
        ("P2", "P3"),
        plan(_paired("text", "image", None)),
    ),
    Fault(
        "heads-swapped",
        "the first heads see what the last should",
        PLACED,
        ("P3", "P59"),
        plan(_grouped(lambda masks: masks[::-1])),
    ),
    Fault(
        "heads-alike",
        "every head sees what the first should",
        PLACED,
        ("P3", "P59"),
        plan(_grouped(lambda masks: masks[:1] * len(masks))),
    ),
    Fault(
        "square-keeps-one-more",
        "a two-dimensional window reaches one row and column further",
        PLACED,
        ("P3", "P59"),
        plan(masked(_sized("window2d", "radius", 1))),
    ),
    Fault(
        "square-across-the-border",
        "a token's column is taken from the number of rows",
        PLACED,
        ("P3", "P59"),
        source((r"% 7", "% 5")),
    ),
    Fault(
        "shift-lost",
        "shifted windows stand where unshifted ones do",
        PLACED,
        ("P3", "P59"),
        plan(masked(_sized("shifted_window", "shift", -1))),
    ),
    Fault(
        "shift-backwards",
        "windows are shifted the other way",
        PLACED,
        ("P3", "P59"),
        plan(masked(_sized("shifted_window", "shift", 1))),
    ),
    Fault(
        "axis-mistaken",
        "rows are seen instead of columns",
        PLACED,
        ("P3", "P59"),
        plan(masked(_instead("axial(row)", "axial(column)"))),
    ),
    Fault(
        "neighbours-of-one-frame",
        "neighbours in other frames are not seen",
        SCREENED,
        ("P3", "P59"),
        plan(masked(_instead("window3d(1)", "window2d(1)"))),
    ),
    Fault(
        "frames-open",
        "other frames are seen as a token's own",
        SCREENED,
        ("P3", "P59"),
        plan(masked(_instead("frame", "full"))),
    ),
    Fault(
        "within-open",
        "what happens exactly at the end of a duration is not seen",
        HEARD,
        ("P3", "P59"),
        source((r"(?<=[qk] )<=(?= (?:4 \* )?[qk] \+ [48]\))", "<")),
    ),
    Fault(
        "within-by-index",
        "times are compared by the number of the token",
        HEARD,
        ("P3", "P59"),
        source((r"4 \* ([qk])", r"\1")),
    ),
    Fault(
        "stride-from-the-first",
        "a stride is counted from the first key, not from the query",
        READ,
        ("P3", "P59"),
        source((r"\(q - k\) % 3", "k % 3")),
    ),
    Fault(
        "prefix-one-short",
        "the last key of a prefix is hidden",
        READ,
        ("P3", "P59"),
        plan(masked(_sized("prefix", "length", -1))),
    ),
    Fault(
        "random-otherwise",
        "blocks are drawn with another seed",
        READ,
        ("P3",),
        plan(masked(_sized("random", "seed", 1))),
    ),
    Fault(
        "random-by-padding",
        "blocks are drawn among those that a batch has room for",
        READ,
        ("P3",),
        source((r"text, \(1, 4\)", "text, (1, -(-text // 64))")),
    ),
    Fault(
        "documents-joined",
        "tokens see the documents before their own",
        READ,
        ("P3", "P59"),
        source((r"q_document == k_document", "q_document >= k_document")),
    ),
)
