"""What is told of long waits: how far the work is, and what is left."""

from __future__ import annotations

import sys
import time

import pytest

from mmspec.cli import output, waiting


def test_the_time_left_follows_from_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(waiting, "_now", lambda: now[0])
    wait = waiting.Wait("reading rows.csv", ("the first step",))
    assert str(wait) == "reading rows.csv (then: the first step)"
    wait.report("reading photo", 32, 100_032)
    assert str(wait) == "reading photo: 32 of 100,032 (then: the first step)"
    now[0] += 2
    wait.report("reading photo", 1_032, 100_032)
    assert str(wait) == "reading photo: 1,032 of 100,032 (then: the first step)"
    now[0] += 8
    wait.report("reading photo", 10_032, 100_032)
    assert "10,032 of 100,032, about 90 s left" in str(wait)
    wait.report("reading sound", 5, 50)
    assert str(wait) == "reading sound: 5 of 50 (then: the first step)"
    now[0] += 600
    wait.report("reading sound", 15, 50)
    assert "15 of 50, about 35 min left" in str(wait)
    now[0] += 60_000
    wait.report("reading sound", 16, 50)
    assert "16 of 50, about 52.0 h left" in str(wait)


def test_a_pipe_gets_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(waiting, "_PATIENCE", 0.01)
    monkeypatch.setattr(waiting, "_PAUSE", 0.1)
    with waiting.shown("reading rows.csv") as wait:
        time.sleep(0.06)
        for done in range(1, 21):
            wait.report("reading photo", done, 20)
            time.sleep(0.02)
        time.sleep(0.5)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "mmspec: reading photo: 20 of 20 ..."
    assert 2 <= len(lines) <= 12 and len(set(lines)) == len(lines)


def test_what_is_soon_over_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    with waiting.shown("reading rows.csv") as wait:
        wait.report("reading photo", 3, 20)
    assert capsys.readouterr().err == ""


def test_a_terminal_shows_the_newest_on_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(waiting, "_PATIENCE", 0.0)
    monkeypatch.setattr(output, "is_terminal", lambda stream: stream is sys.stderr)
    with waiting.shown("reading rows.csv", "the first step") as wait:
        wait.report("reading photo", 3, 20)
        time.sleep(0.35)
    shown = capsys.readouterr().err
    assert "reading photo: 3 of 20 (then: the first step)" in shown
    assert "\n" not in shown and shown.endswith("\r\x1b[K")
