"""A kind is asked for in its own files: elsewhere so often and no more, and ever less."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pytest
from questions import CONCERNS, Question, knowing, questions
from source_tree import ROOT

MOST = {
    "fusion": 7,
    "halting": 0,
    "feed-forward": 3,
    "modality": 20,
    "head": 1,
    "norm": 6,
    "score": 0,
    "mask": 1,
}
"""Questions outside a concern's own files. It only goes down: lower it with what you take away."""

KNOW_FUSIONS = 5
"""Files that know a fusion and are not its own, at most."""

PLANTED = {
    "fusion": 'def f(x): return x.fusion == "gated"',
    "halting": "from mmspec.compiler import ir\n"
    "def f(x): return isinstance(x, ir.Ponder | ir.Exit)",
    "feed-forward": "from mmspec.schema import routing as r\n"
    "def f(x):\n    match x:\n        case r.Switch(): return 1",
    "modality": 'T = {"image": 1, "video": 2}\ndef f(x): return T[x.kind]',
    "head": 'def f(x): return x.kind in ("classifier", "regressor")',
    "norm": 'def f(norm): return 1 if norm.kind != "rms" else 2',
    "score": 'def f(scores): return scores.kind == "alibi"',
    "mask": "from mmspec.expressions.mask import And\ndef f(m): return type(m) is And",
}
"""For each concern a file that asks for a kind once, each in another way."""


@lru_cache
def everywhere() -> list[Question]:
    return questions(ROOT)


@pytest.mark.parametrize("concern", CONCERNS)
def test_a_kind_is_asked_for_no_more_often(concern: str) -> None:
    found = [question for question in everywhere() if question.concern == concern]
    asked = "\n".join(map(str, found))
    assert len(found) <= MOST[concern], f"{len(found)}: let the record say it\n{asked}"


def test_few_files_know_a_fusion() -> None:
    assert len(knowing(ROOT, "fusion")) <= KNOW_FUSIONS, knowing(ROOT, "fusion")


@pytest.mark.parametrize("concern", CONCERNS)
def test_a_question_is_found_however_it_is_asked(concern: str, tmp_path: Path) -> None:
    for name in ("elsewhere", min(CONCERNS[concern].own)):
        path = tmp_path / "compiler" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(PLANTED[concern] + "\n", encoding="utf-8")
    assert [(one.concern, one.path) for one in questions(tmp_path)] == [
        (concern, "compiler/elsewhere.py")
    ]


@pytest.mark.parametrize(
    "innocent",
    [
        'def f(x): return x.position == "none" or x.axis.name == "frame" or x == "tokens"',
        'ROW = {"image": 1, "text": 2, "label": 3}',
        "def f(x): return isinstance(x, int | str) and x.is_causal",
        "from mmspec.compiler import ir\ndef f(x): return isinstance(x, ir.Stack)",
    ],
)
def test_what_asks_for_no_kind_is_not_counted(innocent: str, tmp_path: Path) -> None:
    path = tmp_path / "verify" / "elsewhere.py"
    path.parent.mkdir()
    path.write_text(innocent + "\n", encoding="utf-8")
    assert not questions(tmp_path)
