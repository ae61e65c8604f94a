"""Faults of reading a spec: another number, default or meaning than the one that was written."""

from __future__ import annotations

from mmspec.verify.faults.fault import Fault, forgiving, read_as
from mmspec.verify.faults.specs import CAPTION, JOINED, LEAVING, PONDERED, ROUTED, TOWERS

FAULTS: tuple[Fault, ...] = (
    Fault(
        "unknown-key-dropped",
        "a key that the language does not have is accepted and thrown away",
        JOINED,
        ("P56",),
        forgiving(),
    ),
    Fault(
        "eps-default-used",
        "a number written 1e-2 is not understood and the default eps is used",
        PONDERED,
        ("P57",),
        read_as("eps: 1e-2", "eps: 1e-5"),
    ),
    Fault(
        "renormalise-default-off",
        "the default of an omitted option is taken from another family",
        ROUTED,
        ("P57",),
        read_as("choose: 2,", "choose: 2, renormalise: false,"),
    ),
    Fault(
        "head-width-by-kv-heads",
        "the head width is the width over the key heads, not over the query heads",
        JOINED,
        ("P57",),
        read_as("width: 12\n    heads: 3", "width: 12\n    head_width: 6\n    heads: 3"),
    ),
    Fault(
        "window-read-backwards",
        "the arguments of a window change places",
        JOINED,
        ("P3",),
        read_as("window(before=2, after=1)", "window(before=1, after=2)"),
    ),
    Fault(
        "and-binds-like-or",
        "a mask `a & b` is read as `a | b`",
        CAPTION,
        ("P3",),
        read_as("causal & window", "causal | window"),
    ),
    Fault(
        "pair-read-backwards",
        "`text -> image` is read as: image sees text",
        CAPTION,
        ("P3",),
        read_as("text -> image: full", "image -> text: full"),
    ),
    Fault(
        "sources-sorted",
        "the sources of a stream come in another order than in `from`",
        JOINED,
        ("P29",),
        read_as("from: [joint, row]", "from: [row, joint]"),
    ),
    Fault(
        "threshold-default",
        "the threshold of a ponder is its default although another is given",
        PONDERED,
        ("P57",),
        read_as("threshold: 0.9}", "threshold: 0.99}"),
    ),
    Fault(
        "every-ignored",
        "exits are after every block although the spec names some",
        LEAVING,
        ("P57",),
        read_as("every: 2", "every: 1"),
    ),
    Fault(
        "channels-default",
        "an image without `channels` has one and not three",
        TOWERS,
        ("P57",),
        read_as("size: [6, 4],", "size: [6, 4], channels: 1,"),
    ),
)
