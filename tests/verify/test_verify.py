"""`verify(path)`: claims and laws of a spec, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmspec.diagnostics import MmspecError
from mmspec.verify import verify as verifier
from mmspec.verify.laws import LAWS, Law, Search
from mmspec.verify.outcome import Broken, Outcome, held
from mmspec.verify.subject import Subject
from mmspec.verify.verify import law_of, verify

TOWER = Path(__file__).parents[2] / "specs" / "two_tower.yaml"


def keeps(law: Law, subject: Subject, search: Search) -> Outcome:
    return held(law.id, law.statement, search.examples, search.seed)


def breaks(law: Law, subject: Subject, search: Search) -> Outcome:
    raise Broken("it does not", ("streams", "text"))


KEEPS = Law("P901", "keeps", "it keeps", keeps)
BREAKS = Law("P902", "breaks", "it breaks", breaks)
ABSENT = Law("P903", "absent", "there is one", breaks, lambda _: "there is none")


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier, "LAWS", (KEEPS, BREAKS, ABSENT))


@pytest.mark.usefixtures("three")
def test_claims_come_first_then_every_law() -> None:
    report = verify(TOWER, examples=7, seed=3)
    assert report.name == "two_tower"
    assert [outcome.status for outcome in report.claims] == ["proved"] * 3
    assert [(o.name, o.status) for o in report.laws] == [
        ("P901", "held"),
        ("P902", "refuted"),
        ("P903", "not checked"),
    ]
    first, second, third = report.laws
    assert (first.examples, first.seed) == (7, 3)
    assert (second.statement, second.detail) == ("it breaks", "it does not")
    assert second.span is not None
    assert second.span.path == str(TOWER)
    assert third.detail == "there is none"
    assert report.exit_code == 1


@pytest.mark.usefixtures("three")
def test_a_law_asked_for_is_checked_alone() -> None:
    report = verify(str(TOWER), laws=["p901", "P901"])
    assert report.claims == ()
    assert [outcome.name for outcome in report.laws] == ["P901"]
    assert report.exit_code == 0


@pytest.mark.usefixtures("three")
def test_an_unknown_law_is_refused_with_those_there_are() -> None:
    with pytest.raises(MmspecError) as caught:
        verify(TOWER, laws=["P910"])
    (problem,) = caught.value.diagnostics
    assert problem.code == "MM703"
    assert "P901, P902, P903" in problem.help


@pytest.mark.parametrize(("examples", "seed"), [(0, 0), (-1, 0), (10**7, 0), (5, -1)])
def test_numbers_out_of_range_are_refused(examples: int, seed: int) -> None:
    with pytest.raises(MmspecError) as caught:
        verify(TOWER, examples=examples, seed=seed)
    assert caught.value.diagnostics[0].code == "MM704"


def test_a_spec_at_fault_is_an_error_and_no_report(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("mmspec: 1\nname: bad\n", encoding="utf-8")
    with pytest.raises(MmspecError):
        verify(path)


def test_a_package_given_is_the_one_that_is_checked() -> None:
    emitted = Subject.of(TOWER).package
    source = emitted.files["model.py"].replace("class TwoTower(", "class Another(")
    faulty = type(emitted)(emitted.name, emitted.class_name, {**emitted.files, "model.py": source})
    subject = Subject.of(TOWER, package=faulty)

    def runs(law: Law, subject: Subject, search: Search) -> Outcome:
        subject.model()
        return held(law.id, law.statement, 1, 0)

    law = Law("P904", "runs", "it runs", runs)
    (found,) = verifier.report(subject, Search(1, 0), (law,), claims=False).laws
    assert found.status == "refuted"
    assert "the package cannot be imported: ImportError" in found.detail


def test_a_model_that_memory_does_not_hold_is_not_checked_with_the_reason() -> None:
    text = TOWER.read_text(encoding="utf-8").replace("width: 48", "width: 480000")
    text = text[: text.index("claims:")]
    runs = Law("P905", "runs", "s", breaks, runs=True)
    counts = Law("P905", "runs", "s", breaks, runs=False)
    report = verifier.report(Subject.of_text(text), Search(1, 0), (runs, counts), full=True)
    assert [outcome.status for outcome in report.laws] == ["not checked", "refuted"]
    assert "GB to be tried in float64" in report.laws[0].detail
    assert report.exit_code == 1


def test_ids_are_told_apart() -> None:
    assert len({law.id for law in LAWS}) == len(LAWS)
    assert all(law_of(law.id.lower()) is law for law in LAWS)


@pytest.mark.usefixtures("three")
def test_what_is_done_and_what_is_left_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    verify(TOWER, told=lambda *said: told.append(said))
    assert told == [("two_tower: laws", done, 3) for done in range(3)]
