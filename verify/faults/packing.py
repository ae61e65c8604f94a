"""Faults of packed documents: what they see, where they begin, where their losses end."""

from __future__ import annotations

from mmspec.verify.faults.fault import Fault, plan, source, told
from mmspec.verify.faults.masks import masked, united
from mmspec.verify.faults.specs import PACKED

FAULTS: tuple[Fault, ...] = (
    Fault(
        "positions-run-on",
        "positions count from the start of the sample and not of the document",
        PACKED,
        ("P15", "P59"),
        source((r"return place_t - document_runs.*", "return place_t.expand(document_bt.shape)")),
    ),
    Fault(
        "loss-over-the-border",
        "the last token of a document is trained on the first of the next",
        PACKED,
        ("P15", "P59"),
        source((r"return ids_bt\.masked_fill\(document_bt .*, -100\)", "return ids_bt")),
    ),
    Fault(
        "told-from-the-sample",
        "tokens that carry no loss are counted from the start of the sample",
        PACKED,
        ("P15", "P59"),
        plan(told(lambda condition: condition.replace("p", "k"))),
    ),
    Fault(
        "document-begins-late",
        "the first token of each document is counted into the one before",
        PACKED,
        ("P15", "P3"),
        source(
            (
                r"    return document_bt\n",
                "    return torch.cat((document_bt[:, :1], document_bt[:, :-1]), dim=1)\n",
            )
        ),
    ),
    Fault(
        "document-or-window",
        "a window within a document also shows the rest of the document, and of the window",
        PACKED,
        ("P15", "P3"),
        plan(masked(united)),
    ),
)
