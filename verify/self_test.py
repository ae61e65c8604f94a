"""Show that the laws can fail: plant every fault that ships, and see it caught."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mmspec.verify.faults import FAULTS, Fault
from mmspec.verify.lab.ways import interpret
from mmspec.verify.laws import LAWS, Law, Search
from mmspec.verify.outcome import Outcome
from mmspec.verify.report import junit_of
from mmspec.verify.subject import Subject
from mmspec.verify.verify import Told, check_law, law_of, silent

if TYPE_CHECKING:
    from rich.console import Console

EXAMPLES = 50
"""Inputs to try for each law and fault: as many as `verify` tries."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One law and one fault planted for it."""

    law: str
    fault: str
    what: str
    caught: bool
    detail: str
    counterexample: str | None


@dataclass(frozen=True, slots=True)
class SelfTest:
    """Every trial, laws that no fault was planted for, and laws that a sound model breaks."""

    trials: tuple[Trial, ...]
    untried: tuple[str, ...]
    alarms: tuple[str, ...]

    @property
    def missed(self) -> tuple[Trial, ...]:
        """Faults that a law let pass."""
        return tuple(trial for trial in self.trials if not trial.caught)

    @property
    def exit_code(self) -> int:
        """1 where a fault was missed, a law has none, or a sound model was refuted."""
        return int(bool(self.missed or self.untried or self.alarms))

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        caught = sum(trial.caught for trial in self.trials)
        return {
            "exit_code": self.exit_code,
            "counts": {"planted": len(self.trials), "caught": caught},
            "untried": list(self.untried),
            "alarms": list(self.alarms),
            "trials": [asdict(trial) for trial in self.trials],
        }

    def render(self, console: Console) -> None:
        """One line for each law and fault, then the sum."""
        from rich.text import Text

        for trial in self.trials:
            said = "caught" if trial.caught else "missed"
            line = f"{said}: {trial.law}: {trial.fault}: {trial.what}"
            console.print(
                Text(line if trial.caught else f"{line} ({trial.detail})"), soft_wrap=True
            )
        for law in self.untried:
            console.print(Text(f"untried: {law}: no fault is planted for it"), soft_wrap=True)
        for alarm in self.alarms:
            console.print(Text(f"false alarm: {alarm}"), soft_wrap=True)
        console.print(Text(self.summary()), soft_wrap=True)

    def junit(self) -> str:
        """Everything as JUnit XML: a case for each law and fault, and for what else is wrong."""
        cases = [
            (trial.law, f"{trial.fault}: {trial.what}", "" if trial.caught else trial.detail)
            for trial in self.trials
        ]
        cases += [(law, "a fault is planted", "none is planted for it") for law in self.untried]
        cases += [("false alarm", alarm, alarm) for alarm in self.alarms]
        return junit_of("self-test", cases)

    def summary(self) -> str:
        """`118 of 118 planted faults caught by 21 laws`."""
        caught = sum(trial.caught for trial in self.trials)
        laws = len({trial.law for trial in self.trials})
        by = f"{laws} law{'s' * (laws != 1)}"
        return f"{caught} of {len(self.trials)} planted faults caught by {by}"


def self_test(
    laws: tuple[str, ...] = (), examples: int = EXAMPLES, told: Told = silent
) -> SelfTest:
    """Plant every fault for the laws named (all: none named); raises MmspecError MM703."""
    chosen = dict.fromkeys(law_of(name) for name in laws) if laws else dict.fromkeys(LAWS)
    interpret()
    search = Search(examples, 0, smallest=False)
    planned = [(law, fault) for law in chosen for fault in of_law(law)]
    trials: list[Trial] = []
    for law, fault in planned:
        told("planting faults", len(trials), len(planned))
        trials.append(try_fault(law, fault, search))
    tried = {trial.law for trial in trials}
    untried = tuple(law.id for law in chosen if law.id not in tried)
    return SelfTest(tuple(trials), untried, tuple(_alarms(chosen, search)))


def of_law(law: Law) -> tuple[Fault, ...]:
    """The faults that a law must catch."""
    return tuple(fault for fault in FAULTS if law.id in fault.laws)


def try_fault(law: Law, fault: Fault, search: Search) -> Trial:
    """Plant a fault and check a law."""
    found = check_law(law, fault.planted(), search)
    caught = found.status == "refuted"
    told = f"{found.status}: {found.detail}" if found.detail else found.status
    return Trial(law.id, fault.id, fault.what, caught, told, found.counterexample)


def _alarms(laws: Iterable[Law], search: Search) -> Iterable[str]:
    """Laws that refute what no fault was planted in."""
    subjects: dict[str, Subject] = {}
    for law in laws:
        for fault in {fault.spec: fault for fault in of_law(law)}.values():
            subject = subjects.setdefault(fault.spec, fault.subject())
            found: Outcome = check_law(law, subject, search)
            if found.status not in ("held", "proved"):
                yield f"{law.id} of `{subject.spec.name}` is {found.status}: {found.detail}"
