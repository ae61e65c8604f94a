"""A spec found fine is not read again, until it or the code that judges it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmspec.cli import cache, check
from mmspec.cli.main import main

SPEC = (Path(__file__).parents[2] / "specs" / "gated.yaml").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMSPEC_CACHE", str(tmp_path / "cache"))


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


def test_changed_code_asks_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("text", "expressions", "schema"):
        (tmp_path / part).mkdir()
    rule = tmp_path / "schema" / "rule.py"
    rule.write_text("LIMIT = 1\n")
    monkeypatch.setattr(cache, "_PACKAGE", tmp_path)
    before = cache.key(b"spec")
    assert cache.key(b"spec") == before != cache.key(b"other")
    rule.write_text("LIMIT = 12\n")
    assert cache.key(b"spec") != before


def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MMSPEC_CACHE", str(tmp_path / "file"))
    cache.remember("entry", "fine")
    assert cache.recall("entry") is None
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC, encoding="utf-8")
    assert main(["check", str(spec)]) == 0


def test_the_oldest_entries_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_KEPT", 2)
    for name in ("a", "b", "c"):
        cache.remember(name, name)
    assert [cache.recall(name) for name in ("b", "c")] == ["b", "c"]
    assert len(list(cache.folder().iterdir())) == 2
