"""A spec found fine is not judged again, until it or the code that judges it changes."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmspec import private
from mmspec.cli import cache, check
from mmspec.cli.main import main

SPEC = (Path(__file__).parents[2] / "specs" / "gated.yaml").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMSPEC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(private, "_SAID", set())


def folder() -> Path:
    """Where the entries lie."""
    found = private.cache("checked")
    assert found is not None
    return found


def test_the_second_answer_is_remembered_and_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC, encoding="utf-8")
    assert main(["check", str(spec)]) == 0
    first = capsys.readouterr().out
    read: list[str] = []
    monkeypatch.setattr(check, "_judge", read.append)
    assert main(["check", str(spec)]) == 0
    assert capsys.readouterr().out == first
    assert not read


def test_a_changed_spec_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC, encoding="utf-8")
    assert main(["check", str(spec)]) == 0
    spec.write_text(SPEC.replace("fusion: gated", "fusion: gatde"), encoding="utf-8")
    assert main(["check", str(spec)]) == 1
    assert main(["check", str(spec)]) == 1
    assert "gatde" in capsys.readouterr().err


@pytest.mark.parametrize("where", ["schema", "compiler/lower"])
def test_changed_code_asks_anew(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = [f"compiler/relations/{room}" for room in ("meaning", "counting", "loops")]
    compiler = ("compiler/lower", "compiler/relations", *rooms)
    for part in ("text", "expressions", "schema", "cli", *compiler):
        (tmp_path / part).mkdir(parents=True)
    rule = tmp_path / where / "rule.py"
    rule.write_text("LIMIT = 1\n")
    monkeypatch.setattr(cache, "_PACKAGE", tmp_path)
    before = cache.key(b"spec")
    assert cache.key(b"spec") == before != cache.key(b"other")
    rule.write_text("LIMIT = 12\n")
    assert cache.key(b"spec") != before


def test_another_pydantic_asks_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = cache.key(b"spec")
    (tmp_path / "pydantic").mkdir()
    (tmp_path / "pydantic" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pydantic")
    assert cache.key(b"spec") != before


def test_what_is_remembered_is_said_of_what_was_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is swapped at every moment between the first look at it and the last."""
    spec = tmp_path / "spec.yaml"
    wrong = SPEC.replace("fusion: gated", "fusion: gatde")
    contents = itertools.cycle([wrong, SPEC])

    def swapped(step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            spec.write_text(next(contents), encoding="utf-8")
            return step(*arguments)

        return run

    spec.write_text(SPEC, encoding="utf-8")
    with monkeypatch.context() as patch:
        for step in ("key", "recall", "remember"):
            patch.setattr(cache, step, swapped(getattr(cache, step)))
        patch.setattr(check, "_judge", swapped(check._judge))
        for _ in range(3):
            main(["check", str(spec)])
    spec.write_text(wrong, encoding="utf-8")
    assert main(["check", str(spec)]) == 1
    spec.write_text(SPEC, encoding="utf-8")
    assert main(["check", str(spec)]) == 0


def test_code_that_changes_meanwhile_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = iter(["a", "b"])
    monkeypatch.setattr(cache, "key", lambda content: next(keys))
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC, encoding="utf-8")
    assert main(["check", str(spec)]) == 0
    assert not list(folder().iterdir())


def test_a_spec_of_more_bytes_than_are_read_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC + "#" * (1 << 20), encoding="utf-8")
    assert main(["check", str(spec)]) == 1
    assert "MM013" in capsys.readouterr().err


ENTRIES: dict[str, bytes] = {
    "escape codes": b"\x1b]0;owned\x07\x1b[2J",
    "words": b"2 modalities, 3 streams, 1 head",
    "nothing": b"",
    "too few": b"1 2",
    "too many": b"1 2 3 4",
    "zero": b"0 2 3",
    "negative": b"-1 2 3",
    "huge": b"1 2 " + b"9" * 5000,
    "other digits": "1 2 \u0663".encode(),
    "deep JSON": b"[" * 100_000,
    "a line more": b"2 3 1\n",
}


@pytest.mark.parametrize("content", ENTRIES.values(), ids=ENTRIES)
def test_a_damaged_entry_is_made_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC, encoding="utf-8")
    assert main(["check", str(spec)]) == 0
    said = capsys.readouterr().out
    (entry,) = folder().iterdir()
    good = entry.read_bytes()
    entry.write_bytes(content)
    assert main(["check", str(spec)]) == 0
    assert capsys.readouterr().out == said
    assert entry.read_bytes() == good


def test_a_pipe_for_an_entry_is_not_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC, encoding="utf-8")
    assert main(["check", str(spec)]) == 0
    (entry,) = folder().iterdir()
    entry.unlink()
    os.mkfifo(entry, 0o600)
    assert main(["check", str(spec)]) == 0
    assert entry.is_file()


def test_a_cache_of_others_is_not_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With an entry that calls a wrong spec valid."""
    wrong = SPEC.replace("fusion: gated", "fusion: gatde")
    spec = tmp_path / "spec.yaml"
    spec.write_text(wrong, encoding="utf-8")
    cache.remember(cache.key(wrong.encode()), (2, 3, 1))
    assert main(["check", str(spec)]) == 0
    folder().parent.chmod(0o777)
    assert main(["check", str(spec)]) == 1
    assert "others may write to" in capsys.readouterr().err


def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MMSPEC_CACHE", str(tmp_path / "file"))
    cache.remember("entry", (1, 2, 3))
    assert cache.recall("entry") is None
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC, encoding="utf-8")
    assert main(["check", str(spec)]) == 0


def test_the_oldest_entries_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_KEPT", 2)
    for count, name in enumerate(("a", "b", "c"), 1):
        cache.remember(name, (count, 1, 1))
    assert [cache.recall(name) for name in ("b", "c")] == [(2, 1, 1), (3, 1, 1)]
    assert len(list(folder().iterdir())) == 2
