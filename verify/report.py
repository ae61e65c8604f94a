"""What `mmspec verify` found about a spec: for people, for pipes, as plain data, as JUnit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree

from mmspec import diagnostics
from mmspec.diagnostics import Diagnostic
from mmspec.verify.outcome import STATUSES, Outcome

if TYPE_CHECKING:
    from rich.console import Console

_STYLES: Final = {"proved": "bold green", "held": "green", "refuted": "bold red"}
_QUIET: Final = "dim"


@dataclass(frozen=True, slots=True)
class Report:
    """The outcomes of a spec's claims and of the laws, in order."""

    path: str
    name: str
    claims: tuple[Outcome, ...]
    laws: tuple[Outcome, ...]
    source: str = field(default="", repr=False, compare=False)
    """The spec's text, of which lines are shown."""

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """Claims, then laws."""
        return (*self.claims, *self.laws)

    @property
    def refutations(self) -> tuple[Outcome, ...]:
        """What is false."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == "refuted")

    @property
    def problems(self) -> tuple[Outcome, ...]:
        """What is false, and claims that could not be decided."""
        undecided = (claim for claim in self.claims if claim.status == "not checked")
        return (*self.refutations, *undecided)

    @property
    def exit_code(self) -> int:
        """1 where anything is refuted or a claim could not be checked, else 0.

        A law that says why it was not checked is no fault of the spec's; a claim must be decided.
        """
        return int(bool(self.problems))

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "spec": self.path,
            "name": self.name,
            "exit_code": self.exit_code,
            "counts": self._counts(),
            "claims": [asdict(outcome) for outcome in self.claims],
            "laws": [asdict(outcome) for outcome in self.laws],
        }

    def render(self, console: Console) -> None:
        """A table on a terminal, else one line an outcome; then each problem in full."""
        if console.is_terminal:
            self._render_table(console)
        else:
            for outcome in self.outcomes:
                _print(console, f"{self.path}: {outcome.status}: {outcome.name}: {_line(outcome)}")
        for outcome in self.problems:
            console.print()
            self._render_problem(console, outcome)
        if self.problems:
            console.print()
        _print(console, f"{self.path}: {self.summary()}")

    def summary(self) -> str:
        """`3 proved, 20 held, 1 refuted, 4 not checked`."""
        return ", ".join(f"{count} {status}" for status, count in self._counts().items())

    def _counts(self) -> dict[str, int]:
        found = Counter(outcome.status for outcome in self.outcomes)
        return {status: found[status] for status in STATUSES if found[status]}

    def _render_table(self, console: Console) -> None:
        from rich.table import Table
        from rich.text import Text

        table = Table(title=f"{self.name}: claims and laws", title_justify="left")
        table.add_column("status", no_wrap=True)
        table.add_column("claim or law", overflow="fold", ratio=2)
        table.add_column("found", overflow="fold", ratio=3)
        for kind in (self.claims, self.laws):
            for outcome in kind:
                style = _STYLES.get(outcome.status, _QUIET)
                row = (outcome.status, _title(outcome), _found(outcome))
                faint = _QUIET if outcome.status == "not checked" else ""
                styles = (style, faint, faint)
                table.add_row(*(Text(t, style=s) for t, s in zip(row, styles, strict=True)))
            table.add_section()
        console.print(table)

    def _render_problem(self, console: Console, outcome: Outcome) -> None:
        from rich.text import Text

        colored = console.is_terminal and not console.no_color
        text = diagnostics.render([self.diagnostic(outcome)], {self.path: self.source}, colored)
        console.print(Text.from_ansi(text) if colored else Text(text), soft_wrap=True)
        if outcome.counterexample:
            _print(console, f"counterexample: {outcome.counterexample}")

    def diagnostic(self, outcome: Outcome) -> Diagnostic:
        """A problem as the kind of error that users know."""
        if outcome.status == "not checked":
            message = f"`{outcome.name}` cannot be decided: {outcome.detail}"
            return Diagnostic("MM705", message, outcome.span)
        if outcome in self.claims:
            return Diagnostic(
                "MM701", f"`{outcome.name}` is refuted: {outcome.detail}", outcome.span
            )
        message = f"{outcome.name} is refuted: {outcome.statement}: {outcome.detail}"
        return Diagnostic("MM702", message, outcome.span)


def _title(outcome: Outcome) -> str:
    """A claim, or a law's id and statement."""
    if outcome.name == outcome.statement:
        return outcome.name
    return f"{outcome.name}  {outcome.statement}"


def _found(outcome: Outcome) -> str:
    """What came of it, and of how many inputs."""
    if outcome.status != "held":
        return outcome.detail
    tried = f"{outcome.examples:,} input{'s' * (outcome.examples != 1)}, seed {outcome.seed}"
    return f"{tried}; {outcome.detail}" if outcome.detail else tried


def _line(outcome: Outcome) -> str:
    """Everything but the name and the status, in one line."""
    said = "" if outcome.name == outcome.statement else f"{outcome.statement}: "
    tail = f"; counterexample: {outcome.counterexample}" if outcome.counterexample else ""
    return " ".join(f"{said}{_found(outcome)}{tail}".split())


def _print(console: Console, line: str) -> None:
    """A line that is neither wrapped nor read as markup."""
    from rich.text import Text

    console.print(Text(line), soft_wrap=True)


def junit(reports: Iterable[Report]) -> str:
    """The reports as JUnit XML: a suite a spec, a case an outcome."""
    root = ElementTree.Element("testsuites", name="mmspec verify")
    for report in reports:
        counts = Counter(outcome.status for outcome in report.outcomes)
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=_xml(report.path),
            tests=str(len(report.outcomes)),
            failures=str(counts["refuted"]),
            errors="0",
            skipped=str(counts["not checked"]),
        )
        for outcome in report.outcomes:
            _case(suite, report, outcome)
    return _document(root)


def junit_of(name: str, cases: Sequence[tuple[str, str, str]]) -> str:
    """One suite as JUnit XML: of each case its class, its name and why it failed, if it did."""
    failed = sum(bool(why) for _, _, why in cases)
    root = ElementTree.Element("testsuites", name="mmspec verify")
    counts = {"tests": str(len(cases)), "failures": str(failed), "errors": "0", "skipped": "0"}
    suite = ElementTree.SubElement(root, "testsuite", {"name": name} | counts)
    for group, title, why in cases:
        attributes = {"classname": _xml(group), "name": _xml(title)}
        case = ElementTree.SubElement(suite, "testcase", attributes)
        if why:
            ElementTree.SubElement(case, "failure", message=_xml(why))
    return _document(root)


def _document(root: ElementTree.Element) -> str:
    ElementTree.indent(root)
    head = '<?xml version="1.0" encoding="utf-8"?>\n'
    return head + ElementTree.tostring(root, encoding="unicode") + "\n"


def _case(suite: ElementTree.Element, report: Report, outcome: Outcome) -> None:
    attributes = {"classname": report.name, "name": _title(outcome)}
    if outcome.span:
        attributes |= {"file": outcome.span.path, "line": str(outcome.span.line)}
    attributes = {key: _xml(value) for key, value in attributes.items()}
    case = ElementTree.SubElement(suite, "testcase", attributes)
    if outcome.status == "refuted":
        told = diagnostics.render([report.diagnostic(outcome)], {report.path: report.source})
        if outcome.counterexample:
            told += f"\ncounterexample: {outcome.counterexample}"
        failure = ElementTree.SubElement(case, "failure", message=_xml(outcome.detail))
        failure.text = _xml(told)
    elif outcome.status == "not checked":
        ElementTree.SubElement(case, "skipped", message=_xml(outcome.detail))
    else:
        text = f"{outcome.status}: {_found(outcome)}"
        ElementTree.SubElement(case, "system-out").text = _xml(text)


def _xml(text: str) -> str:
    """Text without the characters that XML cannot hold."""
    allowed = (c in "\t\n" or (ord(c) >= 32 and c not in "\ufffe\uffff") for c in text)
    return "".join(c if fine else "?" for c, fine in zip(text, allowed, strict=True))
