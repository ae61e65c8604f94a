"""Faults of adaptive depth: probabilities, remainders, what still runs, what it costs."""

from __future__ import annotations

from dataclasses import replace

from mmspec.compiler import ir
from mmspec.verify.faults.fault import Fault, plan, reckoned, source, stacks
from mmspec.verify.faults.specs import ADAPTED, LEAVING, PONDERED


def _prior(stack: ir.Stack) -> ir.Stack:
    halting = stack.halting
    if isinstance(halting, ir.Ponder):
        return replace(stack, halting=replace(halting, prior=halting.prior + 0.01))
    return stack


def _all_exits(stack: ir.Stack) -> ir.Stack:
    halting = stack.halting
    if isinstance(halting, ir.Exit):
        return replace(stack, halting=replace(halting, after=tuple(range(1, stack.depth + 1))))
    return stack


def _one_step_less(stack: ir.Stack) -> ir.Stack:
    assert isinstance(stack.halting, ir.Ponder)
    return replace(stack, halting=replace(stack.halting, at_most=stack.halting.at_most - 1))


def _one_exit(stack: ir.Stack) -> ir.Stack:
    assert isinstance(stack.halting, ir.Exit)
    return replace(stack, halting=replace(stack.halting, after=stack.halting.after[-1:]))


FAULTS: tuple[Fault, ...] = (
    Fault(
        "remainder-lost",
        "a sample that never halts does not give the last step what is left",
        PONDERED,
        ("P41", "P59"),
        source((r"if step < STEPS:", "if step < 5:")),
    ),
    Fault(
        "remainder-lost-in-evaluation",
        "a sample that stops does not give its step what is left",
        PONDERED,
        ("P41",),
        source((r"p_r = torch\.where\(stop_r, remaining_r, p_r\)", "pass")),
    ),
    Fault(
        "threshold-of-one-step",
        "the threshold is compared with a step's probability and not with their sum",
        PONDERED,
        ("P59", "P42"),
        source((r"1 - \(remaining_r - p_r\) >= 0\.9", "p_r >= 0.9")),
    ),
    Fault(
        "halting-not-conditional",
        "a step's probability is not that of having come so far",
        PONDERED,
        ("P41",),
        source((r"p_r = remaining_r \* score_r", "p_r = score_r")),
    ),
    Fault(
        "halted-still-computed",
        "samples that have halted are computed on",
        PONDERED,
        ("P42",),
        source(
            (
                r"running_r, remaining_r, x_btd = running_r\[keep_r\].*",
                "remaining_r = remaining_r * keep_r",
            ),
            (r"valid_bt, mask = rows\(valid_bt, keep_r\), rows\(mask, keep_r\)", "pass"),
            (r"keep_r = ~stop_r", "keep_r = ~stop_r & (remaining_r > 0)"),
        ),
    ),
    Fault(
        "halting-by-the-first-sample",
        "the whole batch stops when its first sample does",
        PONDERED,
        ("P14", "P42", "P59"),
        source(
            (
                r"(stop_r = 1 - \(remaining_r - p_r\) >= 0\.9)\n",
                r"\1" + "\n            stop_r = stop_r | stop_r.any()\n",
            )
        ),
    ),
    Fault(
        "evaluation-runs-all-steps",
        "evaluation runs every step although the spec halts",
        PONDERED,
        ("P42", "P59"),
        source((r"not self\.training", "False"), (r"if self\.training or", "if True or")),
    ),
    Fault(
        "prior-shifted",
        "the prior of a ponder is another rate",
        PONDERED,
        ("P59", "R1"),
        plan(stacks(_prior)),
    ),
    Fault(
        "prior-not-normalised",
        "the truncated prior does not sum to 1",
        PONDERED,
        ("P59",),
        source((r"log_prior_n - .*", "log_prior_n + math.log(prior)")),
    ),
    Fault(
        "penalty-detached",
        "the penalty of a ponder has no gradient",
        PONDERED,
        ("R1",),
        source((r"0\.5 \* ponder_penalty\(halting_bn", "0.5 * ponder_penalty(halting_bn.detach()")),
    ),
    Fault(
        "states-averaged",
        "the output is divided by the number of steps",
        PONDERED,
        ("P59",),
        source((r"return y_btd, torch\.stack", "return y_btd / 4, torch.stack")),
    ),
    Fault(
        "step-restarts",
        "every step starts from the first input",
        PONDERED,
        ("P59",),
        source(
            (
                r"for step in range\(1, STEPS \+ 1\):",
                "given = x_btd\n        for step in range(1, 5):\n"
                "            x_btd = given[running_r]",
            )
        ),
    ),
    Fault(
        "halt-pools-padding",
        "the decision to halt also looks at padding",
        PONDERED,
        ("P13", "P59"),
        source((r"mean_pool\(h_btd, valid_bt\)", "mean_pool(h_btd, None)")),
    ),
    Fault(
        "act-conditional",
        "a step's probability is that of having come so far, as a ponder's",
        ADAPTED,
        ("P59", "R1"),
        source((r"(p_r = score_r\.sigmoid\(\))", r"\1 * remaining_r")),
    ),
    Fault(
        "act-remainder-lost",
        "a sample that halts gives its last step what the unit says",
        ADAPTED,
        ("P41", "P59"),
        source((r"p_r = torch\.where\(stop_r, remaining_r, p_r\)", "pass")),
    ),
    Fault(
        "act-late",
        "a sample halts a little later than the spec says",
        ADAPTED,
        ("P41", "P59"),
        source((r">= 0\.9\b", ">= 0.95")),
    ),
    Fault(
        "act-still-computed",
        "samples that have halted are computed on",
        ADAPTED,
        ("P42",),
        source((r"if self\.training or", "if True or")),
    ),
    Fault(
        "act-steps-unpaid",
        "the penalty is of the remainder alone",
        ADAPTED,
        ("P59",),
        source((r"\(steps_b \+ remainder_b\)", "remainder_b")),
    ),
    Fault(
        "act-remainder-detached",
        "the penalty has no gradient",
        ADAPTED,
        ("R1",),
        source((r"remainder_b = p_bn", "remainder_b = p_bn.detach()")),
    ),
    Fault(
        "exits-save-nothing",
        "samples that have left are computed to the last block",
        LEAVING,
        ("P42",),
        source(
            (r"(running_r, x_btd = running_r\[keep_r\], x_btd\[keep_r\]\n)", r"pass" + "\n"),
            (
                r"valid_bt, mask = rows\(valid_bt, keep_r\), rows\(mask, keep_r\)",
                "left_r = stop_r | left_r",
            ),
            (
                r"states: list\[Tensor\] = \[\]",
                "states: list[Tensor] = []\n"
                "        left_r = torch.zeros(x_btd.shape[0], dtype=torch.bool)",
            ),
            (r"(stop_r = [^\n]*)\n", r"\1" + "\n            stop_r = stop_r & ~left_r\n"),
            (r"if not keep_r\.any\(\):\n +break", "pass"),
        ),
    ),
    Fault(
        "exit-without-norm",
        "an exit is taken before the final norm",
        LEAVING,
        ("P59", "R1"),
        source(
            (r"h_btd = self\.norm\(x_btd\)", "h_btd = self.norm(x_btd) if depth == 5 else x_btd")
        ),
    ),
    Fault(
        "exit-after-every-block",
        "samples may leave after every block although the spec names some",
        LEAVING,
        ("P59", "P42"),
        plan(stacks(_all_exits)),
    ),
    Fault(
        "exit-loss-of-the-last",
        "in training only the last exit is trained",
        LEAVING,
        ("P59", "R1"),
        source((r"for exit_bc in label_exits\]", "for exit_bc in label_exits[-1:]]")),
    ),
    Fault(
        "exit-by-margin",
        "a sample leaves below the threshold",
        LEAVING,
        ("P59",),
        source((r"confidence_r >= 0\.7", "confidence_r >= 0.6")),
    ),
    Fault(
        "exits-of-the-batch",
        "the whole batch leaves with its first sample",
        LEAVING,
        ("P14", "P42"),
        source((r"(stop_r = [^\n]*)\n", r"\1" + "\n            stop_r = stop_r | stop_r.any()\n")),
    ),
    Fault(
        "steps-off-by-one",
        "FLOPs of a ponder count a step too few",
        PONDERED,
        ("P54",),
        reckoned(stacks(_one_step_less)),
    ),
    Fault(
        "exits-counted-once",
        "FLOPs of exits count one head",
        LEAVING,
        ("P54",),
        reckoned(stacks(_one_exit)),
    ),
)
