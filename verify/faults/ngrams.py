"""Faults of n-grams of bytes."""

from __future__ import annotations

import dataclasses
from typing import Any

from mmspec.compiler import ir
from mmspec.verify.faults.fault import Fault, nodes, plan, reckoned, source
from mmspec.verify.faults.specs import GRAMS


def _grams(**given: Any) -> Any:
    """Change the n-grams of every modality; given: fields of `ir.Ngrams`, or `none=True`."""

    def changed(node: ir.Node) -> ir.Node:
        raw: Any = node.raw if isinstance(node, ir.Embed) else None
        if getattr(raw, "ngrams", None) is None:
            return node
        grams = None if "none" in given else dataclasses.replace(raw.ngrams, **given)
        return dataclasses.replace(node, raw=dataclasses.replace(raw, ngrams=grams))

    return nodes(changed)


FAULTS: tuple[Fault, ...] = (
    Fault(
        "ngrams-pass-spaces",
        "n-grams go on over a space",
        GRAMS,
        ("P59",),
        source((r"begins_bt = .*", "begins_bt = torch.zeros_like(space_bt)")),
    ),
    Fault(
        "ngrams-look-ahead",
        "n-grams of a byte end with the byte after it",
        GRAMS,
        ("P1", "P6", "P59"),
        source((r"self\.hash\(ids_bt\)", "self.hash(ids_bt).roll(-1, 1)")),
    ),
    Fault(
        "ngrams-one-longer",
        "each n-gram is a byte longer than its size",
        GRAMS,
        ("P59",),
        source((r"at_t - 2\b", "at_t - 3"), (r"at_t - 1\b", "at_t - 2")),
    ),
    Fault(
        "ngrams-of-capitals",
        "capitals are other letters than small ones",
        GRAMS,
        ("P59",),
        plan(_grams(lower=False)),
    ),
    Fault(
        "ngrams-share-buckets",
        "n-grams of all sizes are in one table",
        GRAMS,
        ("P59",),
        source((r"return first_r \+ ", "return 0 * first_r + ")),
    ),
    Fault(
        "ngrams-summed",
        "the rows of n-grams are added and not their mean taken",
        GRAMS,
        ("P59", "R1"),
        source((r"\(x_btd \+ row_btrd\.sum\(dim=2\)\) / 4", "x_btd + row_btrd.sum(dim=2)")),
    ),
    Fault(
        "ngrams-kept",
        "training leaves out no n-grams",
        GRAMS,
        ("P49",),
        plan(_grams(dropout=0.0)),
    ),
    Fault(
        "ngrams-dropped-in-evaluation",
        "evaluation leaves out n-grams too",
        GRAMS,
        ("P49",),
        source(
            (r"self\.dropout\(torch\.ones_like\((.+?)\)\)", r"F.dropout(torch.ones_like(\1), 0.25)")
        ),
    ),
    Fault(
        "ngrams-not-counted",
        "costs know no rows of n-grams",
        GRAMS,
        ("P54",),
        reckoned(_grams(none=True)),
    ),
)
