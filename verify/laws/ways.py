"""P7, P8, P12, P19, P20, P23, P24: every way that attention by tiles may go gives the same.

Each way is forced, on the loops and kernels of the package, and held to attention in float64 of the
pairs that the reference sees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from mmspec.schema import modality as modalities
from mmspec.verify.lab.case import is_large, scaled
from mmspec.verify.lab.rounding import Exact, exact
from mmspec.verify.lab.search import Vacuous
from mmspec.verify.lab.search import search as look
from mmspec.verify.lab.trial import TILE, Filled, Trial, filled, trials
from mmspec.verify.lab.ways import WAYS, Asked, Results, asked, attend, by_tiles, has_tiles
from mmspec.verify.law import Check, Law, Search
from mmspec.verify.outcome import Broken, Outcome, held, not_checked
from mmspec.verify.subject import Subject

OTHERS = 4.0
"""Times as far as one rounding that kernels of torch may be off in half precision."""
RESULTS = "output", "gradient of queries", "gradient of keys", "gradient of values"


def chosen(subject: Subject, trial: Trial) -> Asked:
    """The attention of a trial; raises Vacuous where the case asks for none."""
    found = asked(subject, trial.case, 1 if is_large(subject) else None)
    if not found:
        raise Vacuous
    return found[trial.which % len(found)]


def sound(subject: Subject, trial: Trial, one: Asked) -> tuple[Tensor, Filled]:
    """Who sees whom, and what is given, with no gradient of queries that are padded."""
    seen = one.seen(subject, trial.case)
    q, k, v, g = filled(one, trial)
    return seen, (q, k, v, g * seen.any(1).any(2)[:, None, :, None])


def truth(one: Asked, seen: Tensor, given: Filled) -> Exact:
    """Attention in float64."""
    return exact(*given, seen, one.added(), one.scale, one.sink_h, strict=False)


def run(subject: Subject, trial: Trial, one: Asked, given: Sequence[Tensor]) -> Results:
    """What the way of a trial gives; raises Vacuous where the package has no such way."""
    kernels = subject.package.files.get("kernels.py", "")
    if trial.way.name == "triton" and one.pattern[0] not in kernels:
        raise Vacuous
    found = attend(trial.way, subject, one, given)
    if found is None:
        raise Vacuous
    return found


def _agrees(subject: Subject, trial: Trial) -> None:
    """Raise Broken where output or gradients are further from float64 than rounding explains."""
    one = chosen(subject, trial)
    seen, given = sound(subject, trial, one)
    exactly, found = truth(one, seen, given), run(subject, trial, one, given)
    allowed = 1.0 if trial.way.ours or trial.dtype == torch.float32 else OTHERS
    right, bounds = _but_total(exactly)
    for name, x, value, bound in zip(RESULTS, found, right, bounds, strict=True):
        error = (x.double() - value).abs() / bound / allowed
        if name == "output":
            error = error.masked_fill(~seen.any(-1, keepdim=True), 0.0)
        error = error.nan_to_num(torch.inf, torch.inf)
        if float(error.max()) > 1:
            sample, head, token, feature = torch.unravel_index(error.argmax(), error.shape)
            place = sample, head, token, feature
            raise Broken(
                f"{one.site.output.rpartition('.')[0]} by {trial.way.name}: the {name} of sample"
                f" {int(sample)}, head {one.first + int(head)}, token {int(token)} is"
                f" {float(x[place]):.6g}, not {float(value[place]):.6g}",
                one.site.keys,
            )


def _but_total(exactly: Exact) -> tuple[list[Tensor], list[Tensor]]:
    """Values and bounds of what attention gives, without the log-sum-exp."""
    kept = 0, 2, 3, 4
    return [exactly.values[i] for i in kept], [exactly.bounds[i] for i in kept]


def _at_borders(subject: Subject, trial: Trial) -> None:
    _agrees(subject, replace(trial, fill="gaussian"))


def _blind(subject: Subject, trial: Trial) -> None:
    """Queries that see nothing give 0 and get no gradient, nor do keys that nobody sees."""
    one = chosen(subject, trial)
    seen, given = sound(subject, trial, one)
    shared = one.heads // one.sizes[1][1]
    blind, alone = ~seen.any(-1), ~seen.any(-2).unflatten(1, (-1, shared)).any(2)
    told = one.valid_bk is None or bool(one.valid_bk.any(1).all())
    if not (bool(blind.any()) or bool(alone.any())) and told:
        raise Vacuous
    found = run(subject, trial, one, given)
    y = found[0] * seen.any(-1, keepdim=True)
    for name, x, nothing in zip(
        RESULTS, (y, *found[1:]), (blind, blind, alone, alone), strict=True
    ):
        if not bool(torch.isfinite(x).all()):
            raise Broken(f"by {trial.way.name} the {name} is not finite", one.site.keys)
        if name != "output" and bool(x[nothing].any()):
            raise Broken(
                f"by {trial.way.name} the {name} is not 0 of what sees or is seen by nothing",
                one.site.keys,
            )


def _shifted(subject: Subject, trial: Trial) -> None:
    """A vector that is added to all keys adds one number to all scores of a query."""
    trial = replace(trial, dtype=torch.float32)
    one = chosen(subject, trial)
    if one.sink_h is not None:
        raise Vacuous
    seen, (q, k, v, g) = sound(subject, trial, one)
    given = (q, k, v, g), (q, k + torch.linspace(-3, 3, k.shape[-1]), v, g)
    before, after = (run(subject, trial, one, x)[0].double() for x in given)
    bound = truth(one, seen, given[0]).bounds[0] + truth(one, seen, given[1]).bounds[0]
    apart = (after - before).abs() / bound * seen.any(-1, keepdim=True)
    if float(apart.nan_to_num(torch.inf).max()) > 1:
        raise Broken(
            f"by {trial.way.name} the output moves when all scores of a query do", one.site.keys
        )


def _laid_out(subject: Subject, trial: Trial) -> None:
    """The same numbers, as slices of more, transposed, or with room behind each token."""
    one = chosen(subject, trial)
    given = sound(subject, trial, one)[1]
    plain = run(subject, trial, one, [x.contiguous() for x in given])
    q, k, v, g = given
    together = torch.cat([x.transpose(1, 2).flatten(2) for x in (k, v)], -1)
    k_, v_ = (
        x.unflatten(-1, (of.shape[1], -1)).transpose(1, 2)
        for x, of in zip(
            together.split([x.shape[1] * x.shape[3] for x in (k, v)], -1), (k, v), strict=True
        )
    )
    apart = torch.stack([q, torch.full_like(q, torch.nan)], 3)[:, :, :, 0]
    found = run(subject, trial, one, (apart, k_, v_, g.mT.contiguous().mT))
    _alike(trial, one, plain, found, "other strides")


def _guarded(subject: Subject, trial: Trial) -> None:
    """NaN before, behind and between what is given."""
    one = chosen(subject, trial)
    given = sound(subject, trial, one)[1]
    plain = run(subject, trial, one, [x.contiguous() for x in given])
    found = run(subject, trial, one, [_between(x) for x in given])
    _alike(trial, one, plain, found, "NaN around what is given")


def _between(x: Tensor) -> Tensor:
    """The same in the middle of room that holds NaN."""
    sizes = [n + 2 * more for n, more in zip(x.shape, (1, 1, TILE, 16), strict=True)]
    room = x.new_full(sizes, torch.nan)
    inner = room[1:-1, 1:-1, TILE:-TILE, 16:-16]
    inner.copy_(x)
    return inner


def _again(subject: Subject, trial: Trial) -> None:
    """Twice the same, with another attention in between."""
    one = chosen(subject, trial)
    given = sound(subject, trial, one)[1]
    first = run(subject, trial, one, given)
    kept = first[0].clone(), first[1].clone(), first[2].clone(), first[3].clone()
    for other in (one, chosen(subject, replace(trial, which=trial.which + 1))):
        run(subject, trial, other, filled(other, replace(trial, seed=trial.seed + 1)))
    _same(trial, one, kept, first, "what ran after it")
    _same(trial, one, kept, run(subject, trial, one, given), "a second run")


def _same(trial: Trial, one: Asked, before: Results, after: Results, when: str) -> None:
    for name, x, y in zip(RESULTS, before, after, strict=True):
        if not torch.equal(x, y):
            raise Broken(f"by {trial.way.name} the {name} is another for {when}", one.site.keys)


def _alike(trial: Trial, one: Asked, before: Results, after: Results, when: str) -> None:
    """The same to the bit by our kernels; torch has several, which round in other places."""
    if trial.way.ours:
        _same(trial, one, before, after, when)
        return
    near = 1e-5 if trial.dtype == torch.float32 else 3e-2
    largest = max(float(x.abs().max()) for x in before)
    for name, x, y in zip(RESULTS, before, after, strict=True):
        if not torch.allclose(y.float(), x.float(), rtol=near, atol=near * largest):
            raise Broken(f"by {trial.way.name} the {name} is another for {when}", one.site.keys)


def _by_every_way(
    check: Callable[[Subject, Trial], None], examples: tuple[int, int], **how: bool
) -> Check:
    """The check of a law by each way that is there.

    examples: of each, at most, and of kernels; half as many where the package would not pass over
    tiles, and none of 0. how: as of `trials`.
    """

    def tries(law: Law, subject: Subject, given: Search) -> Outcome:
        tiled, told, tried = by_tiles(subject), list[str](), 0
        missing: list[tuple[str, str]] = []
        for way in WAYS:
            most = examples[way.name == "triton"] // (1 if tiled is subject else 2)
            if not most:
                continue
            why = way.absent()
            if why is not None:
                missing.append((way.name, why))
                continue
            count = min(scaled(tiled, given).examples, most)
            draw = trials(tiled, way, **how)
            found = look(law, tiled, replace(given, examples=count), draw, partial(check, tiled))
            if found.status == "refuted":
                return found
            if found.status == "held":
                told.append(f"{way.name} {found.examples}")
                tried += found.examples
            else:
                missing.append((way.name, found.detail))
        untried = "".join(f"; not by {name}: {why}" for name, why in missing)
        if not tried:
            found = not_checked(law.id, law.statement, f"no way was tried{untried}")
        else:
            found = held(law.id, law.statement, tried, given.seed, f"by {', '.join(told)}{untried}")
        return replace(found, untested=tuple(missing))

    return tries


def _speaks_of(subject: Subject) -> str | None:
    varies = any(isinstance(m, modalities.Varying) for m in subject.spec.modalities.values())
    if not has_tiles(subject):
        return "no attention passes over tiles, whatever the backend"
    return None if varies else "no sequence varies in length"


def _law(
    name: str,
    title: str,
    statement: str,
    check: Callable[[Subject, Trial], None],
    examples: tuple[int, int],
    **how: bool,
) -> Law:
    every = _by_every_way(check, examples, **how)
    return Law(name, title, statement, every, _speaks_of, keeps=("head",))


P7 = _law(
    "P7",
    "empty rows",
    "a query that sees nothing gets no gradient and gives none, and nothing is NaN, by every way",
    _blind,
    (8, 1),
    ragged=True,
)
P8 = _law(
    "P8",
    "backend agreement",
    "attention and its gradients equal float64 up to rounding, by every way there is",
    _agrees,
    (16, 2),
)
P12 = _law(
    "P12",
    "shift invariance",
    "a number added to all scores of a query changes nothing, by every way",
    _shifted,
    (8, 0),
    far=True,
)
P19 = _law(
    "P19",
    "borders of tiles",
    "attention at lengths around one tile and two equals float64, by every way",
    _at_borders,
    (8, 1),
    far=True,
)
P20 = _law(
    "P20",
    "layouts",
    "how queries, keys and values lie in memory changes nothing, by every way",
    _laid_out,
    (8, 1),
)
P23 = _law(
    "P23",
    "guard bands",
    "nothing is read beside queries, keys and values, by every way",
    _guarded,
    (8, 1),
)
P24 = _law(
    "P24",
    "determinism",
    "attention gives the same to the bit again, whatever ran in between, by every way",
    _again,
    (8, 0),
)
