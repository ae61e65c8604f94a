"""What is proved of a claim is tried too, on the compiled model: nothing vouches for itself.

Parameters are counted on the model, FLOPs by the operators that it runs, pairs one by one by the
text of the masks; what does not flow is changed, and nothing may move.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from mmspec.expressions import claim as claims
from mmspec.verify import flow
from mmspec.verify.outcome import Broken
from mmspec.verify.subject import Subject, words

_LENGTH = 11
"""Tokens of each modality up to which flow is tried."""
_FEW = 13
"""Tokens of each modality at which pairs are counted one by one."""
_SEEDS = 2
"""Weights and inputs: one in evaluation, one in training."""
_LONGEST = 4096
"""Tokens or frames up to which a model is run to count its FLOPs."""


def contradiction(subject: Subject, claim: claims.Claim) -> str | None:
    """What a trial found against a claim that was proved, in words; None: nothing."""
    try:
        if isinstance(claim, claims.Comparison | claims.Growth):
            return _counted(subject, claim)
        plan = subject.plan
        if isinstance(claim, claims.NoFlow):
            questions = flow.no_flow(plan, claim.source, claim.target)
        else:
            questions = flow.causality(plan, claim.stream)
        return next(_moves(subject.reduced(("tokens",)), questions), None)
    except (Broken, RuntimeError) as error:
        return error.what if isinstance(error, Broken) else f"the model fails with {words(error)}"


def _counted(subject: Subject, claim: claims.Comparison | claims.Growth) -> str | None:
    from mmspec.verify.laws import costs
    from mmspec.verify.reference.modality import longest

    if claim.quantity == "expected_depth":
        costs.check_depths(subject)
    elif claim.quantity in ("params", "active_params"):
        costs.check_parameters(subject)
    elif isinstance(claim, claims.Comparison):
        return _ran(subject, claim, costs)
    else:
        kinds = subject.spec.modalities.items()
        few = {name: min(longest(m), -(-_FEW // m.step) * m.step) for name, m in kinds}
        costs.check_pairs(subject, costs.Sizes(1, few))
    return None


def _ran(subject: Subject, claim: claims.Comparison, costs: ModuleType) -> str | None:
    """What operators say of dense FLOPs, where the lengths are such that a model can be run."""
    from mmspec.verify import costs as costing
    from mmspec.verify.reference.modality import longest

    told = dict(claim.lengths)
    kinds = subject.spec.modalities.items()
    raw = {name: told.get(name, longest(modality)) for name, modality in kinds}
    if sum(raw.values()) > _LONGEST or not all(raw[n] or not m.varies for n, m in kinds):
        return None
    found = costs.counted_flops(subject, costs.Sizes(1, raw))
    form = costing.flops(subject.plan, told)
    return None if found == form else f"operators that run take {found:,} FLOPs, not {form:,}"


def _moves(subject: Subject, questions: tuple[flow.Question, ...]) -> Iterator[str]:
    """What moves though it was proved that nothing does."""
    from mmspec.verify.flow.questions import capped
    from mmspec.verify.flow.witness import disturbed

    lengths = capped(subject.plan, _LENGTH)
    for seed in range(_SEEDS):
        for question in questions:
            if question.origin.kind == "stream" or lengths[question.origin.name]:
                found = disturbed(subject, question, lengths, seed)
                if found is not None:
                    yield found
