"""Verify a spec: its claims, then every law."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from mmspec.diagnostics import Diagnostic, MmspecError, suggest
from mmspec.verify.claims import check_claims
from mmspec.verify.lab.ways import WAYS, interpret
from mmspec.verify.laws import LAWS, Law, Search
from mmspec.verify.outcome import Broken, Outcome, not_checked, refuted
from mmspec.verify.report import Report
from mmspec.verify.subject import Subject

EXAMPLES = 50
"""Inputs to try for each law, unless told."""

Told = Callable[[str, int, int], None]
"""Is told what is being done, how much is done, and of how much."""

_MOST = 1_000_000
_COPIES = 5
"""Of the weights, at a time: the model's, the reference's, gradients of both, one to spare."""


def silent(what: str, done: int, total: int) -> None:
    """Nobody is told."""


def verify(
    path: str | os.PathLike[str],
    examples: int = EXAMPLES,
    seed: int = 0,
    laws: Sequence[str] | None = None,
    told: Told = silent,
    require: Sequence[str] = (),
    full: bool = False,
) -> Report:
    """What is proved, held, refuted or not checked of the spec at `path`.

    laws: ids of the laws to check, and then no claims; None: all laws, and the claims.
    told: what is being checked, how much is done, and of how much.
    require: ways of attention (`dense`, `calls`, `native`, `triton`) by which laws must be tried.
    full: run the spec itself, however large it is, and no reduced twin of it.
    Raises MmspecError when the spec is not valid, or a law or number is not to be had.
    """
    ways = tuple(map(_way, require))
    chosen = LAWS if laws is None else tuple(law_of(name) for name in laws)
    if not (1 <= examples <= _MOST and seed >= 0):
        message = f"cannot try {examples} examples from seed {seed}"
        raise MmspecError(
            Diagnostic("MM704", message, help=f"1 to {_MOST:,} examples, a seed >= 0")
        )
    interpret()
    with _one_thread():
        subject, search = Subject.of(path), Search(examples, seed)
        found = report(subject, search, chosen, claims=laws is None, told=told, full=full)
        return replace(found, required=ways)


@contextmanager
def _one_thread() -> Generator[None]:
    """Small tensors are slower on several threads, many times so on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def report(
    subject: Subject,
    search: Search,
    laws: Sequence[Law],
    claims: bool = True,
    told: Told = silent,
    full: bool = False,
) -> Report:
    """The report of a subject; a self test gives one with a faulty package."""
    each = tuple(dict.fromkeys(laws))
    made = tuple(check_claims(subject)) if claims else ()
    found: list[Outcome] = []
    for law in each:
        told(f"{subject.spec.name}: laws", len(found), len(each))
        found.append(check_law(law, subject, search, full))
    return Report(subject.path, subject.spec.name, made, tuple(found), subject.document.text)


def check_law(law: Law, subject: Subject, search: Search, full: bool = False) -> Outcome:
    """What became of one law; not checked, with the reason, where it does not apply.

    full: of the subject itself; else a law that runs models runs its reduced twin.
    """
    one = subject.reduced(law.keeps) if law.runs and not full else subject
    found = _checked(law, one, search)
    return found if found.status == "not checked" else replace(found, cut=one.cut)


def _checked(law: Law, subject: Subject, search: Search) -> Outcome:
    try:
        why = law.applies(subject) or (_too_large(subject) if law.runs else None)
        if why is not None:
            return not_checked(law.id, law.statement, why)
        return law.check(law, subject, search)
    except Broken as broken:
        span = subject.where(*broken.where) if broken.where else None
        example = broken.counterexample or "no input needed"
        return refuted(law.id, law.statement, broken.what, span, example)


def _too_large(subject: Subject) -> str | None:
    """Why a model cannot be run here: there is not the memory for its weights; None: it can."""
    needed, there = _COPIES * 8 * subject.parameters, _memory()
    if there is None or needed <= there:
        return None
    gigabytes = f"{needed / 1e9:,.0f} GB to be tried in float64, and there are {there / 1e9:,.0f}"
    return f"{subject.parameters:,} parameters take {gigabytes}"


def _memory() -> int | None:
    """Bytes of memory of this machine, None where it does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def _way(name: str) -> str:
    """The way of attention of a name; raises MmspecError MM706."""
    known = [way.name for way in WAYS]
    if name in known:
        return name
    advice = f"ways: {', '.join(known)}"
    raise MmspecError(Diagnostic("MM706", f"attention goes no way `{name}`", help=advice))


def law_of(name: str) -> Law:
    """The law of an id, in capitals or not; raises MmspecError MM703."""
    known = {law.id: law for law in LAWS}
    if name.upper() in known:
        return known[name.upper()]
    close = suggest(name.upper(), known)
    listed = f"laws: {', '.join(known)}"
    advice = f"did you mean {close}? {listed}" if close else listed
    raise MmspecError(Diagnostic("MM703", f"there is no law `{name}`", help=advice))
