"""Where a command is to write is looked at before the work, and left as it was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from mmspec.cli import demo, main, writable
from mmspec.compiler.emit import package
from mmspec.data import fetch
from mmspec.diagnostics import MmspecError
from mmspec.train import record

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
    ("demo", "emoji", "--out"),
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


WORDS = (
    "new {}",
    "check {}",
    "check SPEC {}",
    "show {}",
    "show SPEC --mask {}",
    "show SPEC --mask text --svg {}",
    "show SPEC --mask text --png {}",
    "show SPEC --mask text --lengths {}",
    "compile {}",
    "compile SPEC -o {}",
    "compile SPEC --output {}",
    "compile SPEC --backend {}",
    "compile SPEC --stop-after {}",
    "analyze {}",
    "tune {}",
    "tune SPEC --lengths {}",
    "verify {}",
    "verify SPEC --junit {}",
    "verify --self-test --junit {}",
    "verify SPEC --law {}",
    "train {} --data topics",
    "train SPEC --data {}",
    "train SPEC --data topics --out {}",
    "train SPEC --data topics --device {}",
    "train SPEC --data topics --config {}",
    "train SPEC --data topics --init {}",
    "train SPEC --data topics --precision {}",
    "train --resume {}",
    "train --resume --out {}",
    "predict {} text=a",
    "predict RUN {}",
    "predict RUN --data {}",
    "predict RUN text=a --device {}",
    "generate {} --prompt a",
    "generate RUN --prompt {}",
    "generate RUN --prompt a --stop {}",
    "generate RUN --prompt a --head {}",
    "generate RUN --prompt a --device {}",
    "generate RUN --prompt a {}",
    "evaluate {} --data topics",
    "evaluate RUN --data {}",
    "evaluate RUN --data topics --device {}",
    "weights {} CHECKPOINT",
    "weights SPEC {}",
    "weights SPEC CHECKPOINT --out {}",
    "weights SPEC CHECKPOINT --family {}",
    "weights SPEC CHECKPOINT --leave {}",
    "import {}",
    "import CONFIG --name {}",
    "export {} --to pt2",
    "export SPEC --to pt2 --out {}",
    "export SPEC --to pt2 -o {}",
    "export SPEC --to pt2 --weights {}",
    "completion {}",
    "laws {}",
    "schema {}",
    "explain {}",
)


def test_each_word_of_the_command_line_is_tried() -> None:
    """Every option that takes text, and every command."""
    commands = main.parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    assert isinstance(commands, dict)
    for name, parser in commands.items():
        tried = " ".join(words for words in WORDS if words.split()[0] == name)
        for action in parser._actions:
            if action.nargs != 0 and action.type is None and not action.choices:
                assert not action.option_strings or any(
                    f"{option} {{" in tried for option in action.option_strings
                ), (name, action.option_strings)
        assert tried


@pytest.mark.parametrize("bad", ["", "a\0b"])
@pytest.mark.parametrize("words", WORDS)
def test_an_empty_word_and_nul_are_told(
    words: str, bad: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The empty one was taken for a word that was not given."""
    given = [GATED if w == "SPEC" else w.replace("{}", bad) for w in words.split()]
    with pytest.raises(SystemExit) as ended:
        main.main(given)
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said.startswith("mmspec: error: ")
    assert ("it is empty" in said or "''" in said) if not bad else "a\\x00b" in said
    assert len(said.splitlines()) == 2 and "\0" not in said
    assert sorted(os.listdir()) == ["file", "folder.svg"]


def test_nul_is_told_by_what_has_a_parser_of_its_own(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.main(["emoji", "--out", "a\0b"]) == 2
    assert "MM603" in capsys.readouterr().err
    assert fetch.main(["stamps", "a\0b"]) == 2
    assert "MM513" in capsys.readouterr().err


def test_nul_in_a_folder_that_python_names(tmp_path: Path) -> None:
    for write in (
        lambda: package.write(package.Package("a", "A", {"a.py": ""}), tmp_path / "a\0b"),
        lambda: record.check_free(tmp_path / "a\0b"),
    ):
        with pytest.raises(MmspecError, match="MM603"):
            write()
    assert not os.listdir(tmp_path)
