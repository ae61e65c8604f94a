"""Where a command is to write is looked at before the work, and left as it was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from mmspec.cli import demo, main, writable
from mmspec.diagnostics import MmspecError

GATED = str(Path(__file__).parents[2] / "specs" / "gated.yaml")
NOWHERE = ("nowhere/x", "file/x", "/proc/x")


class Worked(BaseException):
    """The work was begun, which nothing may catch."""


def work(*_: Any, **__: Any) -> Any:
    """In place of what takes long."""
    raise Worked


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file in it, to work in."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder.svg").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mmspec.compiler.driver._lower", work)
    monkeypatch.setattr("mmspec.verify.verify.verify", work)
    monkeypatch.setattr("mmspec.verify.self_test.self_test", work)
    monkeypatch.setattr("mmspec.cli.demo._prepare", work)
    return tmp_path


COMMANDS = (
    ("verify", GATED, "--junit"),
    ("verify", "--self-test", "--junit"),
    ("show", GATED, "--mask", "text", "--svg"),
    ("show", GATED, "--mask", "text", "--png"),
    ("compile", GATED, "-o"),
    ("demo", "gated", "--out"),
)


def call(*arguments: str) -> int:
    if arguments[0] == "demo":
        return demo.main(arguments[1:])
    return main.main(arguments)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: f"{words[0]}{words[-1]}")
@pytest.mark.parametrize("path", [*NOWHERE, "folder"])
def test_what_cannot_be_written_is_told_first(
    command: tuple[str, ...], path: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ending = command[-1].removeprefix("--")
    if path == "folder":
        path = "folder.svg" if command[-1] == "--svg" else "."
    elif ending in ("svg", "png"):
        path += f".{ending}"
    if command[0] in ("compile", "demo") and path in (".", "nowhere/x"):
        return  # a folder is what they write, and they make those above it
    assert call(*command, path) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said and ("MM603" in said or "MM609" in said)
    assert sorted(os.listdir()) == ["file", "folder.svg"]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: f"{words[0]}{words[-1]}")
def test_what_can_be_written_is_left_to_the_work(command: tuple[str, ...], here: Path) -> None:
    for path in ("new.svg", "new.png") if command[-1] in ("--svg", "--png") else ("new",):
        if command[-1].removeprefix("--") in (path.rpartition(".")[2], "out", "junit", "-o"):
            with pytest.raises(Worked):
                call(*command, path)
    assert sorted(os.listdir()) == ["file", "folder.svg"]


def test_files_pipes_and_folders(here: Path) -> None:
    os.mkfifo("pipe")
    for name in ("file", "new", "pipe", "/dev/null"):
        writable.check_file(Path(name))
    for name in ("", "folder.svg", "folder.svg/a/b"):
        writable.check_folder(Path(name))
    for name in (*NOWHERE, "folder.svg", "file/x/y"):
        with pytest.raises(MmspecError):
            writable.check_file(Path(name))
    for name in ("file", "file/x", "/proc/x/y"):
        with pytest.raises(MmspecError):
            writable.check_folder(Path(name))
    assert sorted(os.listdir()) == ["file", "folder.svg", "pipe"]
    assert not os.listdir("folder.svg")


def test_every_spec_is_read_before_the_first_is_verified(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["verify", GATED, "none.yaml"]) == 2
    assert "MM001" in capsys.readouterr().err
