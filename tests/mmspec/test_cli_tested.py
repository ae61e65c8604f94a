"""A torch that is newer than what was tested is used, and said to be new."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest

from mmspec.cli import main, tested
from mmspec.version import TESTED_TORCH

ROOT = Path(__file__).parents[2]


def test_what_was_tested_is_what_is_pinned() -> None:
    pinned = re.search(r"^torch==(\d+)\.(\d+)", (ROOT / "constraints.txt").read_text(), re.M)
    assert pinned and (int(pinned[1]), int(pinned[2])) == TESTED_TORCH


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("2.11.0", False),
        ("2.13.0+cpu", False),
        ("2.13.9", False),
        ("2.14.0a0+git1", True),
        ("2.15.0+cu130", True),
        ("3.0", True),
        ("10.1.0", True),
        ("nightly", False),
    ],
)
def test_a_newer_one_is_one_line(
    version: str,
    told: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: {"torch": version}[name])
    tested.note_torch()
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == told
    assert not told or f"torch {version} is newer" in said.err


def test_no_torch_is_no_matter_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    tested.note_torch()


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("verify", "none.yaml"), True),
        (("train", str(ROOT / "specs" / "gated.yaml"), "--data", "x", "--device", "moon"), True),
        (("check", "none.yaml"), False),
        (("explain", "MM001"), False),
    ],
)
def test_commands_that_compute_say_it(
    command: tuple[str, ...],
    told: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(metadata, "version", lambda name: "99.0")
    main.main(command)
    assert ("is newer than" in capsys.readouterr().err) == told
