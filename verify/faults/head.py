"""Faults of heads and losses."""

from __future__ import annotations

from dataclasses import replace

from mmspec.compiler import ir
from mmspec.verify.faults.fault import Fault, heads, plan, reckoned, source, told
from mmspec.verify.faults.specs import (
    CAPTION,
    CROSSED,
    FRONTED,
    HIDDEN,
    JOINED,
    PREFIXED,
    ROUTED,
    SHARED,
    SIDES,
    STEPPED,
    TOWERS,
)


def _last(head: ir.Head) -> ir.Head:
    answer = head.answer
    if isinstance(answer, ir.Classifier | ir.Regressor) and answer.pool == "first":
        return replace(head, answer=replace(answer, pool="last"))
    return head


def _alike(head: ir.Head) -> ir.Head:
    if isinstance(head.answer, ir.Contrastive):
        taken = head.answer.taken[0], ir.EVERY
        return replace(head, answer=replace(head.answer, pooling=("first", "last"), taken=taken))
    return head


def _stepless(head: ir.Head) -> ir.Head:
    answer = head.answer
    if isinstance(answer, ir.Classifier | ir.Regressor):
        return replace(head, answer=replace(answer, through=()))
    return head


def _biasless(head: ir.Head) -> ir.Head:
    answer = head.answer
    if isinstance(answer, ir.LanguageModel):
        return replace(head, answer=replace(answer, bias=False))
    return head


def _sharp(head: ir.Head) -> ir.Head:
    is_smoothed = isinstance(head.loss, ir.CrossEntropy)
    return replace(head, loss=ir.CrossEntropy()) if is_smoothed else head


FAULTS: tuple[Fault, ...] = (
    Fault(
        "pool-of-another-lead",
        "a head that takes one learned token takes the next",
        FRONTED,
        ("P59", "R1"),
        source((r"image_btd\[:, :1\]", "image_btd[:, 1:2]")),
    ),
    Fault(
        "mean-of-some-leads",
        "a mean of learned tokens leaves out the last of them",
        FRONTED,
        ("P59", "R1"),
        source((r"_b(td?)\[:, :3\]", r"_b\1[:, :2]")),
    ),
    Fault(
        "mark-past-the-end",
        "a token by its id is one that stands past its sample's length",
        SIDES,
        ("P59", "P13"),
        source(
            (
                r"ids_bt == mark if valid_bt is None else valid_bt & \(ids_bt == mark\)",
                "ids_bt == mark",
            )
        ),
    ),
    Fault(
        "mark-of-another-id",
        "a head takes the token of the next id",
        SIDES,
        ("P59", "R1"),
        source((r"ids_bt == mark", "ids_bt == mark + 1")),
    ),
    Fault(
        "sides-pool-alike",
        "a contrastive head takes of a picture the last of all its tokens",
        SIDES,
        ("P59", "R1"),
        plan(heads(_alike)),
    ),
    Fault(
        "head-step-left-out",
        "what was pooled goes through one step less",
        STEPPED,
        ("P59", "R1"),
        source((r"torch\.tanh\(", "(")),
    ),
    Fault(
        "step-not-counted",
        "costs know no steps of heads",
        STEPPED,
        ("P54",),
        reckoned(heads(_stepless)),
    ),
    Fault(
        "masked-shifted",
        "a hidden token is predicted by the row before it",
        HIDDEN,
        ("P59", "R1"),
        source((r"ids_bt\.flatten\(\)", "ids_bt.roll(-1, 1).flatten()")),
    ),
    Fault(
        "masked-padding-predicted",
        "padding counts among hidden tokens",
        HIDDEN,
        ("P13", "P59"),
        source((r"ids_bt = ids_bt\.masked_fill\(~valid_bt, -100\)", "pass")),
    ),
    Fault(
        "logits-without-their-bias",
        "a tied head adds no number of each id",
        HIDDEN,
        ("P59", "R1"),
        source((r"table_vd, self\.bias\)", "table_vd)")),
    ),
    Fault(
        "logits-without-their-steps",
        "logits are of the tokens as the stream gives them",
        HIDDEN,
        ("P59", "R1"),
        source((r"x_btd = self\.through\(x_btd\)\n", "x_btd = x_btd.clone()\n")),
    ),
    Fault(
        "bias-of-logits-not-counted",
        "costs know no biases of logits",
        HIDDEN,
        ("P54",),
        reckoned(heads(_biasless)),
    ),
    Fault(
        "mean-with-leads",
        "a mean counts the learned tokens that lead others",
        FRONTED,
        ("P59", "R1"),
        source((r"\(False, False, True, False, True\)", "(True, True, True, True, True)")),
    ),
    Fault(
        "pool-first-is-last",
        "a head reads the last token and not the first",
        JOINED,
        ("P59",),
        plan(heads(_last)),
    ),
    Fault(
        "last-token-is-padding",
        "the last token is taken from the padded sequence",
        JOINED,
        ("P13", "P59"),
        source(
            (
                r"at_b = \(valid_bt \* order_t\)\.argmax\(dim=1\)",
                "at_b = (torch.ones_like(valid_bt) * order_t).argmax(dim=1)",
            )
        ),
    ),
    Fault(
        "shifted-twice",
        "the next token is the one after the next",
        CAPTION,
        ("P59", "R1"),
        source(
            (
                r"F\.pad\(ids_bt, \(0, 1\), value=-100\)\[:, 1:\]",
                "F.pad(ids_bt, (0, 2), value=-100)[:, 2:]",
            )
        ),
    ),
    Fault(
        "prefix-learnt",
        "rows inside a prefix are trained on tokens that they see",
        PREFIXED,
        ("P51", "P59"),
        plan(told(lambda _: "")),
    ),
    Fault(
        "prefix-too-long",
        "the first row behind a prefix carries no loss",
        PREFIXED,
        ("P59",),
        plan(told(lambda _: "k <= 4")),
    ),
    Fault(
        "not-shifted",
        "a token is predicted from itself",
        ROUTED,
        ("P59",),
        source((r"F\.pad\(ids_bt, \(0, 1\), value=-100\)\[:, 1:\]", "ids_bt")),
    ),
    Fault(
        "padding-predicted",
        "padding counts in the loss of a language model",
        ROUTED,
        ("P13", "P59"),
        source((r"ids_bt = ids_bt\.masked_fill\(~valid_bt, -100\)", "pass")),
    ),
    Fault(
        "ignored-counted",
        "a mean also counts targets that are ignored",
        JOINED,
        ("P59", "R1"),
        source((r"\(target_b != -100\)\.sum\(\)\.clamp\(min=1\)", "target_b.shape[0]")),
    ),
    Fault(
        "mean-over-nothing",
        "a loss of ignored targets only is 0 / 0",
        JOINED,
        ("P59",),
        source((r"\(target_b != -100\)\.sum\(\)\.clamp\(min=1\)", "(target_b != -100).sum()")),
    ),
    Fault(
        "smoothing-lost",
        "targets are not smoothed",
        JOINED,
        ("P59",),
        plan(heads(_sharp)),
    ),
    Fault(
        "weight-lost",
        "the weight of an objective is 1",
        JOINED,
        ("P59", "R1"),
        plan(heads(lambda head: replace(head, weight=1.0))),
    ),
    Fault(
        "squares-summed",
        "squared errors are summed and not averaged",
        JOINED,
        ("P59",),
        source((r"return total / max\(numbers_bo\.numel\(\), 1\)", "return total")),
    ),
    Fault(
        "auxiliary-left-out",
        "auxiliary losses are not part of the loss",
        ROUTED,
        ("P59", "R1"),
        source((r"\[\*losses\.values\(\), \*auxiliary\]", "[*losses.values()]")),
    ),
    Fault(
        "segment-of-another-modality",
        "a language model reads the first tokens of the sequence",
        CAPTION,
        ("P59",),
        source((r"\(next_read", "(joint_btd[:, : text_tokens_btd.shape[1]]")),
    ),
    Fault(
        "tied-copy",
        "a tied head uses a copy of the table that takes no gradient",
        CROSSED,
        ("R1",),
        source((r"F\.linear\(([^,]*), ([^)]*)\)", r"F.linear(\1, \2.detach())")),
    ),
    Fault(
        "logits-unscaled",
        "logits are not multiplied by the scale of their head",
        SHARED,
        ("P59", "R1"),
        source((r"0\.28\d+ \* ", "")),
    ),
    Fault(
        "logits-unscaled-in-decoding",
        "in decoding, logits are not multiplied by the scale of their head",
        SHARED,
        ("P17",),
        source((r"0\.28\d+ \* ", ""), file="decoding.py"),
    ),
    Fault(
        "contrastive-one-side",
        "only rows are compared, not columns",
        TOWERS,
        ("P59", "R1"),
        source((r"return \(rows \+ columns\) / 2", "return rows")),
    ),
    Fault(
        "contrastive-transposed",
        "the second side is compared with the first",
        TOWERS,
        ("P59",),
        source((r"u_bw @ v_bw\.T", "v_bw @ u_bw.T")),
    ),
    Fault(
        "contrastive-counts-the-absent",
        "samples without one side are compared all the same",
        TOWERS,
        ("P59",),
        source((r"both_b = first_b & second_b", "both_b = first_b | second_b")),
    ),
    Fault(
        "contrastive-not-normalised",
        "one side is not brought to length 1",
        TOWERS,
        ("P59",),
        source((r"v_bw = F\.normalize\((.*), dim=-1\)", r"v_bw = \1")),
    ),
    Fault(
        "temperature-not-inverted",
        "the scale of a contrastive head starts at the logarithm of its temperature",
        TOWERS,
        ("P55",),
        source((r"math\.log\(5\.0\)", "math.log(0.2)")),
    ),
    Fault(
        "scale-not-exponentiated",
        "similarities are scaled by the parameter and not by its exponential",
        TOWERS,
        ("P59",),
        source((r"self\.scale\.exp\(\)", "self.scale")),
    ),
)
