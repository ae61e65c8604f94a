"""Reports: every outcome in every form, and what a pipe or a CI server reads of them."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from rich.console import Console

from mmspec.diagnostics import MmspecError, Span
from mmspec.verify.outcome import Outcome, held, not_checked, proved, refuted
from mmspec.verify.report import Report, junit
from mmspec.verify.verify import verify

SOURCE = "mmspec: 1\nclaims:\n  - params <= [1]\n"
SPAN = Span("a.yaml", 3, 5, 3, 18)

PROVED = proved("params <= 5", "params <= 5", "params = 4 (4 text)", SPAN)
REFUTED = refuted("params <= [1]", "params <= [1]", "params = 4", SPAN)
UNDECIDED = not_checked("causal(x)", "causal(x)", "latents only", SPAN)
HELD = held("P6", "prefixes stay", 50, 7)
BROKEN = refuted("P13", "pads add nothing", "moves by <0.1>\x00", None, "text of 2 tokens & 1 pad")
LEFT = not_checked("P17", "chunks add up", "no cache here")


def report(claims: tuple[Outcome, ...] = (), laws: tuple[Outcome, ...] = ()) -> Report:
    return Report("a.yaml", "a", claims, laws, SOURCE)


ALL = report((PROVED, REFUTED, UNDECIDED), (HELD, BROKEN, LEFT))


def printed(found: Report, terminal: bool = False, width: int = 100) -> str:
    file = io.StringIO()
    found.render(Console(file=file, force_terminal=terminal, width=width, highlight=False))
    return file.getvalue()


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (report(), 0),
        (report((PROVED,), (HELD,)), 0),
        (report((PROVED,), (LEFT,)), 0),
        (report((REFUTED,), ()), 1),
        (report((), (BROKEN,)), 1),
        (report((UNDECIDED,), (HELD,)), 1),
    ],
)
def test_the_exit_code_is_1_for_what_is_false_and_for_claims_left_open(
    found: Report, code: int
) -> None:
    assert found.exit_code == code


def test_a_way_that_is_required_and_was_not_tried_is_a_problem() -> None:
    law = replace(HELD, untested=(("native", "no compiler"), ("triton", "not installed")))
    assert report((), (law,)).exit_code == 0
    found = replace(report((), (law,)), required=("triton", "calls"))
    assert found.exit_code == 1
    assert "error[MM706]: P6 was not tried by triton (not installed)" in printed(found)
    broken = replace(report((), (replace(BROKEN, untested=law.untested),)), required=("triton",))
    assert [one.name for one in broken.problems] == ["P13"]


def test_a_way_that_there_is_none_of_is_told() -> None:
    with pytest.raises(MmspecError, match=r"no way `nativ`") as told:
        verify("specs/sliding.yaml", require=("nativ",))
    assert "dense, calls, native, triton" in str(told.value)


def test_a_pipe_reads_one_line_an_outcome() -> None:
    lines = printed(ALL).splitlines()
    assert lines[0] == "a.yaml: proved: params <= 5: params = 4 (4 text)"
    assert lines[1] == "a.yaml: refuted: params <= [1]: params = 4"
    assert lines[2] == "a.yaml: not checked: causal(x): latents only"
    assert lines[3] == "a.yaml: held: P6: prefixes stay: 50 inputs, seed 7"
    assert lines[4].startswith("a.yaml: refuted: P13: pads add nothing: moves by <0.1>")
    assert lines[4].endswith("; counterexample: text of 2 tokens & 1 pad")
    assert lines[5] == "a.yaml: not checked: P17: chunks add up: no cache here"
    assert lines[-1] == "a.yaml: 1 proved, 1 held, 2 refuted, 2 not checked"
    assert "\x1b" not in printed(ALL)


def test_problems_are_shown_at_their_line() -> None:
    text = printed(ALL)
    assert (
        "a.yaml:3:5 error[MM701]: `params <= [1]` is refuted: params = 4\n"
        "3 |   - params <= [1]\n"
        "  |     ^^^^^^^^^^^^^\n"
    ) in text
    assert "error[MM702]: P13 is refuted: pads add nothing: moves by <0.1>\\x00" in text
    assert "\ncounterexample: text of 2 tokens & 1 pad\n" in text
    assert "error[MM705]: `causal(x)` cannot be decided: latents only" in text
    assert "P17 is" not in text


@pytest.mark.parametrize("width", [50, 80, 200])
def test_a_terminal_shows_a_table_that_fits(width: int) -> None:
    text = printed(ALL, terminal=True, width=width)
    assert "\x1b[" in text
    table = [line for line in text.splitlines() if "│" in line]
    assert table
    for word in ("proved", "held", "refuted", "not checked", "P13", "params <= [1]"):
        assert any(word in line for line in table), word


def test_a_terminal_shows_claims_and_what_is_false_and_the_rest_together() -> None:
    """However many laws there are, they do not push the claims off the screen."""
    many = tuple(held(f"P{n}", f"sentence {n}", n, 7) for n in range(20, 60))
    left = tuple(not_checked(f"P{n}", f"sentence {n}", "no cache here") for n in range(60, 80))
    lines = printed(report((PROVED,), (*many, BROKEN, *left)), terminal=True, width=80).splitlines()
    assert len(lines) < 26  # a screen, with four lines of what is refuted
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m|[│┃]", " ", line) for line in lines)
    words = " ".join(text.split())
    places = [
        words.index(word) for word in ("params <= 5", "P13 pads add", "40 laws: P20,", "P60,")
    ]
    assert places == sorted(places)
    assert "sentence 20" not in words


def test_a_terminal_shows_each_law_where_that_is_asked_for_and_the_claims_last() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, no_color=True, width=100, highlight=False)
    report((PROVED,), (HELD, LEFT)).render(console, verbose=True)
    text = file.getvalue()
    places = [text.index(word) for word in ("P6  prefixes stay", "P17  chunks add up", "params <=")]
    assert places == sorted(places)


def test_no_colour_where_none_is_wanted() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, no_color=True, width=100, highlight=False)
    ALL.render(console)
    assert "\x1b[31" not in file.getvalue()
    assert "\x1b[1;31" not in file.getvalue()


def test_a_machine_reads_everything() -> None:
    data = json.loads(json.dumps(ALL.as_dict()))
    assert data["spec"] == "a.yaml"
    assert data["exit_code"] == 1
    assert data["counts"] == {"proved": 1, "held": 1, "refuted": 2, "not checked": 2}
    assert [item["status"] for item in data["claims"]] == ["proved", "refuted", "not checked"]
    assert data["claims"][1]["span"]["line"] == 3
    assert data["laws"][0]["examples"] == 50
    assert data["laws"][1]["counterexample"] == "text of 2 tokens & 1 pad"


def test_junit_is_xml_with_a_case_for_each_outcome() -> None:
    root = ElementTree.fromstring(junit([ALL, report((PROVED,))]))
    assert root.tag == "testsuites"
    first, second = root
    assert dict(first.attrib, time="") == {
        "name": "a.yaml",
        "tests": "6",
        "failures": "2",
        "errors": "0",
        "skipped": "2",
        "time": "",
    }
    cases = {case.attrib["name"]: case for case in first}
    assert list(cases) == [
        "params <= 5",
        "params <= [1]",
        "causal(x)",
        "P6  prefixes stay",
        "P13  pads add nothing",
        "P17  chunks add up",
    ]
    assert [child.tag for case in first for child in case] == [
        "system-out",
        "failure",
        "skipped",
        "system-out",
        "failure",
        "skipped",
    ]
    failure = cases["P13  pads add nothing"][0]
    assert failure.attrib["message"] == "moves by <0.1>?"
    assert "counterexample: text of 2 tokens & 1 pad" in (failure.text or "")
    assert cases["params <= [1]"].attrib["line"] == "3"
    assert len(second) == 1
