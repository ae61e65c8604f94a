"""What `mmspec verify` found about a spec: for people, for pipes, as plain data, as JUnit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
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

_Row = tuple[str, str, str]
"""Status, claim or law, and what was found."""


@dataclass(frozen=True, slots=True)
class Report:
    """The outcomes of a spec's claims and of the laws, in order."""

    path: str
    name: str
    claims: tuple[Outcome, ...]
    laws: tuple[Outcome, ...]
    source: str = field(default="", repr=False, compare=False)
    """The spec's text, of which lines are shown."""
    required: tuple[str, ...] = ()
    """Ways by which laws must have been tried."""

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
        """What is false, claims that could not be decided, laws not tried as was required."""
        undecided = (claim for claim in self.claims if claim.status == "not checked")
        missed = (law for law in self.laws if self._missed(law) and law.status != "refuted")
        return (*self.refutations, *undecided, *missed)

    def _missed(self, law: Outcome) -> list[tuple[str, str]]:
        """Required ways by which a law was not tried, and why."""
        return [(way, why) for way, why in law.untested if way in self.required]

    @property
    def exit_code(self) -> int:
        """1 where anything is refuted, a claim or what is required could not be checked, else 0.

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

    def render(self, console: Console, verbose: bool = False) -> None:
        """A table on a terminal, else one line an outcome; then each problem in full.

        verbose: the table says of each law what it states and what was found; else of all that
        held together.
        """
        if console.is_terminal:
            self._render_table(console, verbose)
        else:
            for outcome in self.outcomes:
                _print(console, f"{self.path}: {outcome.status}: {outcome.name}: {_line(outcome)}")
        for outcome in self.problems:
            console.print()
            self._render_problem(console, outcome)
        if self.problems:
            console.print()
        for line in self._twins():
            _print(console, f"{self.path}: {line}")
        _print(console, f"{self.path}: {self.summary()}")

    def _twins(self) -> Iterator[str]:
        """Which laws were tried on what reduced twin of the spec."""
        for cut in dict.fromkeys(law.cut for law in self.laws if law.cut):
            names = ", ".join(law.name for law in self.laws if law.cut == cut)
            yield f"on a reduced twin ({cut}; `--full`: as written): {names}"

    def summary(self) -> str:
        """`3 proved, 20 held, 1 refuted, 4 not checked`."""
        return ", ".join(f"{count} {status}" for status, count in self._counts().items())

    def _counts(self) -> dict[str, int]:
        found = Counter(outcome.status for outcome in self.outcomes)
        return {status: found[status] for status in STATUSES if found[status]}

    def _render_table(self, console: Console, verbose: bool) -> None:
        from rich.table import Table
        from rich.text import Text

        table = Table(title=f"{self.name}: claims and laws", title_justify="left")
        table.add_column("status", no_wrap=True)
        table.add_column("claim or law", overflow="fold", ratio=2)
        table.add_column("found", overflow="fold", ratio=3)
        claims = _rows(self.claims)
        laws = _rows(self.laws) if verbose else _folded(self.laws)
        for rows in (laws, claims) if verbose else (claims, laws):  # claims where the eye goes
            for row in rows:
                style = _STYLES.get(row[0], _QUIET)
                faint = _QUIET if row[0] == "not checked" else ""
                styles = (style, faint, faint)
                table.add_row(*(Text(t, style=s) for t, s in zip(row, styles, strict=True)))
            table.add_section()
        console.print(table)
        if not verbose and self.laws:
            _print(console, "`--verbose` says what each law states and what was found")

    def _render_problem(self, console: Console, outcome: Outcome) -> None:
        from rich.text import Text

        colored = console.is_terminal and not console.no_color
        text = diagnostics.render([self.diagnostic(outcome)], {self.path: self.source}, colored)
        console.print(Text.from_ansi(text) if colored else Text(text), soft_wrap=True)
        if outcome.counterexample:
            _print(console, f"counterexample: {outcome.counterexample}")

    def diagnostic(self, outcome: Outcome) -> Diagnostic:
        """A problem as the kind of error that users know."""
        if self._missed(outcome):
            told = ", ".join(f"{way} ({why})" for way, why in self._missed(outcome))
            message = f"{outcome.name} was not tried by {told}"
            advice = "native takes a C++ compiler and AVX2, triton the package of that name"
            return Diagnostic("MM706", message, outcome.span, help=advice)
        if outcome.disputed:
            message = f"`{outcome.name}`: {outcome.detail}"
            advice = (
                "a proof or the compiler is wrong, which is an error of mmspec: please report it"
            )
            return Diagnostic("MM707", message, outcome.span, help=advice)
        if outcome.status == "not checked":
            message = f"`{outcome.name}` cannot be decided: {outcome.detail}"
            return Diagnostic("MM705", message, outcome.span)
        if outcome in self.claims:
            return Diagnostic(
                "MM701", f"`{outcome.name}` is refuted: {outcome.detail}", outcome.span
            )
        message = f"{outcome.name} is refuted: {outcome.statement}: {outcome.detail}"
        return Diagnostic("MM702", message, outcome.span)


def _rows(outcomes: Sequence[Outcome]) -> list[_Row]:
    """Each with what was found."""
    return [(outcome.status, _title(outcome), _found(outcome)) for outcome in outcomes]


def _folded(laws: Sequence[Outcome]) -> list[_Row]:
    """Status, laws and what was found: those refuted each, others together where they say alike."""
    rows: list[_Row] = []
    for status in ("refuted", "proved", "held", "not checked"):
        of_status = [law for law in laws if law.status == status]
        if status == "refuted":
            rows += [(status, _title(law), law.detail) for law in of_status]
        elif status == "not checked":
            alike = {
                law.detail: [o.name for o in of_status if o.detail == law.detail]
                for law in of_status
            }
            rows += [(status, ", ".join(names), why) for why, names in alike.items()]
        elif of_status:
            names = ", ".join(law.name for law in of_status)
            count = f"{len(of_status)} law" + "s" * (len(of_status) > 1)
            rows.append((status, f"{count}: {names}", _tried(of_status)))
    return rows


def _tried(laws: Sequence[Outcome]) -> str:
    """Of how many inputs some laws held."""
    counts = sorted({law.examples for law in laws if law.examples})
    if not counts:
        return "for every input"
    span = f"{counts[0]:,} to {counts[-1]:,}" if len(counts) > 1 else f"{counts[0]:,}"
    seeds = ", ".join(sorted({str(law.seed) for law in laws}))
    return f"on {span} inputs each, seed {seeds}"


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
