"""A demonstration from the spec to the three lines of Python, with seconds of training."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mmspec.cli import demo
from mmspec.train import record


def test_the_demonstration_ends_with_lines_that_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twice: the second run replaces the first. The lines run again, in another process."""
    bars = {"majority": 0.25, "text": 0.5, "image, text": 0.75}
    monkeypatch.setattr(demo, "_baselines", lambda data: bars)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert demo.main(["emoji", "--seconds", "1", "--out", "here"]) == 0
    printed = capsys.readouterr().out
    assert "accuracy on 380 held out of openmoji" in printed
    assert "0.750" in printed and "image  (text absent)" in printed
    assert re.search(r"image \+ text: (0\.\d{3} (above|below)|level with) the logistic", printed)
    assert re.search(r"image \+ text: [+-]0\.\d{3} over text without the rest", printed)
    assert "The package: here/emoji/" in printed
    lines = demo.use("emoji", demo.DEMOS["emoji"])
    assert all(f"    {line}\n" in printed for line in lines)
    command = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(command, cwd="here", capture_output=True, text=True, check=True)
    assert done.stdout.strip() in printed


def test_a_folder_of_the_user_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert demo.main(["emoji", "--out", str(tmp_path)]) == 2
    assert "MM602" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_what_an_earlier_run_made_stays_until_the_next_can_begin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".demo").touch()
    (tmp_path / "weights.pt").touch()
    arguments = ["emoji", "--out", str(tmp_path), "--seconds"]
    assert demo.main([*arguments, "0"]) == 2
    with record.locked(tmp_path / "run", Path.exists):
        assert demo.main([*arguments, "1"]) == 2
    said = capsys.readouterr().err
    assert "MM610" in said and "MM615" in said
    assert (tmp_path / "weights.pt").exists()


def test_a_folder_that_cannot_be_made_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert demo.main(["emoji", "--out", str(tmp_path / "file" / "here")]) == 2
    assert "MM603" in capsys.readouterr().err
