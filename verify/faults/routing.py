"""Faults of routed layers: weights of experts, order of rows, balance."""

from __future__ import annotations

from mmspec.verify.faults.fault import Fault, source
from mmspec.verify.faults.specs import JOINED, ROUTED

FAULTS: tuple[Fault, ...] = (
    Fault(
        "not-renormalised",
        "weights of the chosen experts are not divided by their sum",
        ROUTED,
        ("P59", "R1"),
        source((r"weight_btk = weight_btk / weight_btk\.sum\(dim=-1, keepdim=True\)\n", "pass\n")),
    ),
    Fault(
        "switch-renormalised",
        "a switch weighs its expert by 1 and not by its probability",
        ROUTED,
        ("P59",),
        source(
            (
                r"(weight_btk, expert_btk = ranked_bte\[\.\.\., :1\][^\n]*)",
                r"\1" + "\n        weight_btk = weight_btk / weight_btk.sum(dim=-1, keepdim=True)",
            )
        ),
    ),
    Fault(
        "higher-of-equals",
        "of experts of equal probability the higher number is chosen",
        ROUTED,
        ("P40",),
        source(
            (
                r"probability_bte\.sort\(dim=-1, descending=True, stable=True\)",
                "probability_bte.flip(-1).sort(dim=-1, descending=True, stable=True)\n"
                "        order_bte = probability_bte.shape[-1] - 1 - order_bte",
            )
        ),
    ),
    Fault(
        "router-in-storage-dtype",
        "experts are chosen by logits that were rounded after the softmax",
        ROUTED,
        ("P40",),
        source(
            (
                r"score_bte\.to\(precise\)\.softmax\(dim=-1\)",
                "score_bte.softmax(dim=-1).to(precise)",
            )
        ),
    ),
    Fault(
        "rows-not-put-back",
        "rows of experts are put back in the order of the experts",
        ROUTED,
        ("P59", "P1"),
        source(
            (
                r"y_td\.index_add\(0, order_r // CHOICES, y_rd\)",
                "y_td.index_add(0, torch.arange(order_r.shape[0]) // CHOICES, y_rd)",
            )
        ),
    ),
    Fault(
        "weight-of-another-token",
        "what an expert gives is weighted with the weights of other rows",
        ROUTED,
        ("P59",),
        source((r"weight_btk\.flatten\(\)\[order_r, None\]", "weight_btk.flatten()[:, None]")),
    ),
    Fault(
        "router-sees-the-future",
        "the router decides by the mean over the whole sequence",
        ROUTED,
        ("P6", "P1", "P59"),
        source((r"self\.router\(x_btd\)", "self.router(x_btd + x_btd.mean(dim=1, keepdim=True))")),
    ),
    Fault(
        "balance-counts-padding",
        "the balance loss counts padding",
        ROUTED,
        ("P13", "P59"),
        source(
            (
                r"    if valid_bt is not None:\n        chosen_bte",
                "    if False:\n        chosen_bte",
            )
        ),
    ),
    Fault(
        "balance-twice",
        "the coefficient of the balance loss is applied twice",
        ROUTED,
        ("P59", "R1"),
        source((r"0\.3 \* torch\.stack", "0.3 * 0.3 * torch.stack")),
    ),
    Fault(
        "balance-of-the-last-layer",
        "the balance loss is that of the last layer",
        ROUTED,
        ("P59",),
        source(
            (r"for layer in text_routing\]\)\.mean\(\)", "for layer in text_routing[-1:]]).mean()")
        ),
    ),
    Fault(
        "balance-detached",
        "the balance loss has no gradient",
        ROUTED,
        ("R1",),
        source((r"\(load_e \* mean_e\)\.sum\(\)", "(load_e * mean_e).sum().detach()")),
    ),
    Fault(
        "load-of-another-stream",
        "the loads of one stream are told as those of another",
        ROUTED,
        ("P59", "P40"),
        source((r"for layer in late_routing\]", "for layer in text_routing]")),
    ),
    Fault(
        "mlp-of-another-modality",
        "each modality passes through the mlp of another",
        JOINED,
        ("P59",),
        source((r"mlps = \[([^\]]*)\]", r"mlps = [\1][::-1]")),
    ),
)
