"""Claims: each is proved by arithmetic or refuted with what was found, at its line of the spec."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Final

from mmspec.compiler import ir
from mmspec.expressions import claim as claims
from mmspec.verify import costs as costing
from mmspec.verify import flow
from mmspec.verify.costs.orders import write_orders
from mmspec.verify.cross_check import contradiction
from mmspec.verify.outcome import Broken, Outcome, held, not_checked, proved, refuted
from mmspec.verify.subject import Subject, words
from mmspec.verify.uncounted import NotCountedError

_HOLDS: Final[dict[str, Callable[[Fraction | int, Fraction | int], bool]]] = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
    "==": operator.eq,
}


def check_claims(subject: Subject) -> Iterator[Outcome]:
    """An outcome for every claim, in order."""
    for position, text in enumerate(subject.spec.claims):
        yield check_claim(subject, text, position)


def check_claim(subject: Subject, text: str, position: int) -> Outcome:
    """What became of the claim that stands at that position of `claims`."""
    claim = claims.parse(text)
    verdict = _Claim(subject, " ".join(text.split()), position)
    why = _meaningless(subject.plan, claim)
    if why:
        return verdict.open(why)
    found = _decided(verdict, claim)
    against = contradiction(subject, claim) if found.status == "proved" else None
    if against is None:
        return found
    told = f"proved ({found.detail}), and yet, when it is tried: {against}"
    return replace(found, status="refuted", detail=told, disputed=True)


def _decided(verdict: _Claim, claim: claims.Claim) -> Outcome:
    """What arithmetic and sets say of a claim."""
    if isinstance(claim, claims.Comparison):
        if claim.quantity == "expected_depth":
            return _depth(verdict, claim)
        return _comparison(verdict, claim)
    if isinstance(claim, claims.Growth):
        return _growth(verdict, claim)
    if isinstance(claim, claims.Causal):
        return _causal(verdict, claim)
    return _no_flow(verdict, claim)


class _Claim:
    """A claim, and outcomes of it."""

    def __init__(self, subject: Subject, text: str, position: int) -> None:
        self.subject, self.text = subject, text
        self.span = subject.where("claims", position)

    def proved(self, detail: str) -> Outcome:
        return proved(self.text, self.text, detail, self.span)

    def held(self, detail: str) -> Outcome:
        return replace(held(self.text, self.text, 1, 0, detail), span=self.span)

    def refuted(self, detail: str, counterexample: str | None = None) -> Outcome:
        return refuted(self.text, self.text, detail, self.span, counterexample)

    def open(self, why: str) -> Outcome:
        return not_checked(self.text, self.text, why, self.span)


def _meaningless(plan: ir.Plan, claim: claims.Claim) -> str:
    """Why a claim says nothing about this plan; empty when it does."""
    streams = [stack.stream for stack in plan.stacks()]
    inputs = {given.name: given for given in plan.inputs}
    if isinstance(claim, claims.Growth):
        unknown = [name for name, _ in claim.order if name not in inputs]
        if unknown:
            return f"O(...) is in lengths of modalities; `{unknown[0]}` is none"
    if isinstance(claim, claims.Growth | claims.Comparison):
        if claim.argument and claim.argument not in streams:
            known = ", ".join(streams)
            return f"{claim.quantity} is about streams ({known}); `{claim.argument}` is none"
    if isinstance(claim, claims.Comparison):
        return next(filter(None, (_bad_length(inputs, *pair) for pair in claim.lengths)), "")
    if isinstance(claim, claims.Causal) and not flow.causality(plan, claim.stream):
        if claim.stream in streams:
            return f"`{claim.stream}` holds latents only, which have no order"
        return f"only latents read `{claim.stream}`, and they have no order"
    return ""


def _bad_length(inputs: dict[str, ir.Input], name: str, length: int) -> str:
    """Why no sample has that length; empty when one can."""
    if name not in inputs:
        return f"lengths are of modalities; `{name}` is none"
    longest = inputs[name].longest
    if longest is None:
        return "" if length in (0, 1) else f"`{name}` is there (1) or absent (0)"
    return "" if length <= longest else f"`{name}` is at most {longest:,} long"


def _comparison(verdict: _Claim, claim: claims.Comparison) -> Outcome:
    plan = verdict.subject.plan
    if claim.quantity in claims.OF_LENGTHS:
        useful = claim.quantity == "useful_flops"
        try:
            value = costing.flops(plan, dict(claim.lengths), useful)
        except NotCountedError as error:
            return _between(verdict, claim, error.reason)
        how = _flops_form(plan, useful)
    else:
        active = claim.quantity == "active_params"
        count = costing.active_parameters if active else costing.parameters
        value, how = count(plan, claim.argument), _sum_form(plan, claim.argument, active)
    name = claims.unparse(claim).split(f" {claim.relation} ")[0]
    told = f"{name} = {value:,} ({how})"
    if _HOLDS[claim.relation](value, claim.bound):
        return verdict.proved(told)
    return verdict.refuted(f"{told}, not {claim.relation} {_number(claim.bound)}")


def _between(verdict: _Claim, claim: claims.Comparison, why: str) -> Outcome:
    """Of useful FLOPs that are not counted: they are no fewer than 0, and no more than all."""
    plan, holds = verdict.subject.plan, _HOLDS[claim.relation]
    most = costing.flops(plan, dict(claim.lengths))
    told = f"useful FLOPs are not counted ({why}); they are at most {most:,}"
    if claim.relation in ("<=", "<") and holds(most, claim.bound):
        return verdict.proved(told)
    if claim.relation in (">=", ">", "==") and most < claim.bound:
        return verdict.refuted(f"{told}, not {claim.relation} {_number(claim.bound)}")
    return verdict.open(told)


def _number(bound: Fraction | int) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{float(bound):g}"


def _flops_form(plan: ir.Plan, useful: bool) -> str:
    found = costing.costs(plan)
    polynomial = found.flops_useful if useful else found.flops_dense
    return f"{_form(polynomial)}, B = 1"


def _form(polynomial: costing.Polynomial) -> str:
    """The closed form for long inputs, and from which length on it holds."""
    atoms = (atom for monomial in polynomial.terms for atom, _ in monomial)
    bound = max((atom.bound() for atom in atoms), default=0)
    past = f", for lengths from {bound}" if bound else ""
    return f"closed form {polynomial.long().write(long=True)}{past}"


def _sum_form(plan: ir.Plan, scope: str | None, active: bool) -> str:
    """The parameters as a sum over streams, or over the parts of one."""
    shares: dict[str, int] = {}
    for part in costing.weighed(plan).parts:
        if scope in (None, part.owner):
            key = (part.owner or "heads") if scope is None else part.concern
            shares[key] = shares.get(key, 0) + (part.active if active else part.parameters)
    told = [f"{count:,} {name}" for name, count in shares.items() if count]
    return " + ".join(told) or "no part has any"


def _depth(verdict: _Claim, claim: claims.Comparison) -> Outcome:
    """The bounds hold for every input and weights; what lies between depends on them."""
    plan = verdict.subject.plan
    stacks = [s for s in plan.stacks() if claim.argument in (None, s.stream)]
    halting = [stack for stack in stacks if stack.halting] or stacks
    bounds = {s.stream: costing.expected_depth_bounds(plan, s.stream) for s in halting}
    low = max(least for least, _ in bounds.values())
    high = max(most for _, most in bounds.values())
    told = "; ".join(
        f"a sample runs {_range(*bounds[s.stream])} {_unit(s)} of `{s.stream}`" for s in halting
    )
    holds = _HOLDS[claim.relation]
    if all(holds(depth, claim.bound) for depth in (low, high)):
        return verdict.proved(told)
    broken = high if not holds(high, claim.bound) else low
    return verdict.refuted(
        f"{told}, and {broken} is not {claim.relation} {_number(claim.bound)}",
        f"weights and an input with which a sample runs {broken}",
    )


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"


def _unit(stack: ir.Stack) -> str:
    return stack.halting.unit if stack.halting else "blocks"


def _growth(verdict: _Claim, claim: claims.Growth) -> Outcome:
    plan = verdict.subject.plan
    orders = costing.pairs_growth(plan, claim.argument)
    form = costing.visible_pairs(plan, claim.argument)
    told = f"pairs({claim.argument}) grows like {write_orders(orders)} ({_form(form)})"
    order = tuple(sorted(claim.order))
    if form.within(order):
        return verdict.proved(told)
    if not form.exact:
        return verdict.open(
            f"{told}, at most: whether it is in {write_orders([order])} is not known"
        )
    return verdict.refuted(f"{told}, which is not in {write_orders([order])}")


def _causal(verdict: _Claim, claim: claims.Causal) -> Outcome:
    questions = flow.causality(verdict.subject.plan, claim.stream)
    said = "no token of {} depends on a later one, for {}"
    return _asked(verdict, questions, said)


def _no_flow(verdict: _Claim, claim: claims.NoFlow) -> Outcome:
    questions = flow.no_flow(verdict.subject.plan, claim.source, claim.target)
    said = f"no path leads from {claim.source} to {{}}, for {{}}"
    return _asked(verdict, questions, said)


def _asked(verdict: _Claim, questions: tuple[flow.Question, ...], said: str) -> Outcome:
    """Refuted by the first path that the model shows; proved when there is none."""
    answers = [flow.ask(verdict.subject.plan, question) for question in questions]
    undecided = [answer.why for answer in answers if answer.why]
    for answer in answers:
        if answer.path is None:
            continue
        outcome = _shown(verdict, answer.path)
        if outcome.status == "refuted":
            return outcome
        undecided.append(outcome.detail)
    if undecided:
        return verdict.open(undecided[0])
    admits = any(answer.never == "every length the spec admits" for answer in answers)
    scope = "every length the spec admits" if admits else "every length"
    places = dict.fromkeys(f"{q.segment} in `{q.stream}`" for q in questions)
    told = said.format(" and ".join(places), scope)
    if any(answer.drawn for answer in answers):
        return verdict.held(f"{told} (by tables of the longest ones, as blocks are drawn)")
    return verdict.proved(told)


def _shown(verdict: _Claim, path: flow.Path) -> Outcome:
    """Refuted when the compiled model shows the path."""
    from mmspec.verify.flow.witness import SEEDS, show

    try:
        found = show(verdict.subject, path)
    except (Broken, RuntimeError) as error:
        return verdict.refuted(f"{path}; and the model fails with {words(error)}")
    if found is None:
        return verdict.open(f"a path is there ({path}), but none of {SEEDS} models showed it")
    return verdict.refuted(str(path), found)
