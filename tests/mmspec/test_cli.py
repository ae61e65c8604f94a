"""The command line: its surface, its exit codes, and that it never shows a traceback."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import call

from mmspec.cli import main, output, starters, waiting
from mmspec.codes import CODES

ROOT = Path(__file__).parents[2]
SPECS = sorted((ROOT / "specs").glob("*.yaml"))
GATED = str(ROOT / "specs" / "gated.yaml")

SURFACE = {
    "new": {"NAME", "--kind"},
    "check": {"SPEC", "--json"},
    "show": {"SPEC", "--ascii", "--json", "--mask", "--lengths", "--tile", "--png", "--svg"},
    "compile": {"SPEC", "-o", "--output", "--stop-after", "--force", "--backend"},
    "analyze": {"SPEC", "--json"},
    "tune": {"SPEC", "--lengths", "--json"},
    "verify": {"SPEC", "--json", "--junit", "--examples", "--seed", "--law", "--self-test"}
    | {"-v", "--verbose", "--require", "--full"},
    "train": {"SPEC", "--data", "--out", "--resume", "--steps", "--seconds", "--batch", "--lr"}
    | {"--warmup", "--weight-decay", "--clip", "--seed", "--eval-every", "--save-every"}
    | {"--drop-modality", "--threads", "--augment", "--device", "--json", "--allow-outside"}
    | {"--accumulate", "--config", "--init", "--precision"},
    "predict": {
        "--allow-outside",
        "--data",
        "--device",
        "--format",
        "--tokens",
        "--top",
        "NAME=VALUE",
        "RUN",
    },
    "export": {"RUN|SPEC", "--to", "-o", "--out", "--weights"},
    "generate": {
        "--device",
        "--head",
        "--json",
        "--prompt",
        "--seed",
        "--stop",
        "--temperature",
        "--tokens",
        "--top-k",
        "--top-p",
        "NAME=VALUE",
        "RUN",
    },
    "import": {"--name", "PATH"},
    "completion": {"SHELL"},
    "weights": {"--family", "--json", "--leave", "--out", "--to", "CHECKPOINT", "SPEC"},
    "evaluate": {
        "--allow-outside",
        "--data",
        "--device",
        "--json",
        "--split",
        "RUN",
    },
    "laws": {"--json"},
    "schema": set(),
    "explain": {"CODE"},
}


def spawn(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it as a process, in a pipe."""
    variables = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    command = [sys.executable, "-m", "mmspec.cli", *arguments]
    variables |= {"PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


def test_the_package_runs_as_its_command() -> None:
    command = [sys.executable, "-m", "mmspec", "explain", "MM613"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith("MM613: ")


def test_the_surface_is_what_is_written_down() -> None:
    found = {}
    for action in main.parser()._subparsers._group_actions:  # type: ignore[union-attr]
        for name, sub in action.choices.items():  # type: ignore[union-attr]
            options = [a for a in sub._actions if a.dest != "help"]
            found[name] = {n for a in options for n in a.option_strings or [str(a.metavar)]}
    assert found == SURFACE


@pytest.mark.parametrize("command", ["", *SURFACE])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*([command] if command else []), "--help") == 0
    shown = capsys.readouterr().out
    assert "usage: mmspec" in shown
    assert max(len(line) for line in shown.splitlines()) <= 100


def test_help_lists_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    call("--help")
    shown = capsys.readouterr().out
    assert re.findall(r"^  (\d+) ", shown, re.M) == ["0", "1", "2", "3", "130", "141"]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--version") == 0
    assert re.fullmatch(r"mmspec \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "usage: mmspec"),
        (("--versions",), "required: COMMAND"),
        (("chekc", GATED), "did you mean `check`?"),
        (("check",), "required: SPEC"),
        (("check", "--jsn", GATED), "did you mean `--json`?"),
        (("check", "--jsn", GATED), "`mmspec check --help`"),
        (("new", "--kind", "clasifier"), "did you mean `classifier`?"),
        (("explain", "MM001", "MM002"), "unrecognized arguments: MM002"),
        (("train", GATED, "--data", "x", "--steps", "many"), "invalid int value: 'many'"),
    ],
)
def test_bad_usage_exits_2(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*arguments) == 2
    shown = capsys.readouterr().err
    assert words in shown
    assert "--help" in shown


def test_check_of_every_shipped_spec(capsys: pytest.CaptureFixture[str]) -> None:
    assert SPECS
    assert call("check", *map(str, SPECS)) == 0
    assert capsys.readouterr().out.count(": fine (") == len(SPECS)


def broken(folder: Path) -> str:
    path = folder / "broken.yaml"
    path.write_text(Path(GATED).read_text().replace("depth: 2", "dept: 2", 1))
    return str(path)


def test_check_of_a_broken_spec(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("check", broken(tmp_path), GATED) == 1
    shown = capsys.readouterr()
    assert "error[MM101]" in shown.err
    assert "did you mean `depth`" in shown.err
    assert f"{GATED}: fine" in shown.out


def test_check_of_a_pipe() -> None:
    command = f"{sys.executable} -m mmspec.cli check <(cat {GATED}) < /dev/null"
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", command], env=variables, capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith(": fine (2 modalities, 3 streams, 1 head)\n")


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert call() == 2
    shown = capsys.readouterr()
    assert not shown.out
    assert all(f"    {command} " in shown.err for command in SURFACE)


def test_what_is_printed_stands_on_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not behind the sign that work goes on, which is wiped first."""

    def slow(_: object) -> str:
        time.sleep(0.4)
        return "wrote it"

    monkeypatch.setattr(waiting, "_PATIENCE", 0.0)
    monkeypatch.setattr(output, "is_terminal", lambda stream: stream is sys.stderr)
    monkeypatch.setattr("mmspec.cli.compile._compiled", slow)
    monkeypatch.setattr("builtins.print", _joined(print))
    assert call("compile", GATED) == 0
    shown = capsys.readouterr().err
    assert "compiling" in shown
    assert shown.rpartition("\r\x1b[K")[2] == "wrote it\n"


def _joined(original: Callable[..., None]) -> Callable[..., None]:
    """A print to one stream, as both are on a terminal."""

    def both(*values: object, **options: Any) -> None:
        original(*values, **{**options, "file": sys.stderr})

    return both


def test_check_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("check", "--json", broken(tmp_path), GATED) == 1
    first, second = json.loads(capsys.readouterr().out)["specs"]
    assert [error["code"] for error in first["errors"]] == ["MM101"]
    assert first["errors"][0]["span"]["line"] > 1
    assert (second["valid"], second["errors"]) == (True, [])


@pytest.mark.parametrize("command", ["check", "show", "compile", "analyze", "verify"])
def test_a_file_that_is_not_there(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(command, "nowhere.yaml") == 2
    assert "error[MM001]: cannot read `nowhere.yaml`" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a: [", b"- 1", b"\x00", b"mmspec: 1"])
@pytest.mark.parametrize("command", ["check", "show", "compile", "train"])
def test_bad_specs_never_show_a_traceback(
    command: str, content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.yaml").write_bytes(content)
    more = ["--data", "openmoji"] if command == "train" else []
    assert call(command, str(tmp_path / "bad.yaml"), *more) == (1 if command == "check" else 2)
    assert "error[MM" in capsys.readouterr().err


def test_an_internal_error_is_one_line_unless_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fault(_: object) -> int:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("mmspec.cli.explain.run", fault)
    assert call("explain", "MM001") == 3
    shown = capsys.readouterr().err
    assert "internal error: ZeroDivisionError: planted" in shown
    assert "MMSPEC_TRACEBACK=1" in shown
    assert "Traceback" not in shown
    monkeypatch.setenv("MMSPEC_TRACEBACK", "1")
    assert call("explain", "MM001") == 3
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_exits_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("mmspec.cli.explain.run", interrupt)
    assert call("explain", "MM001") == 130
    assert capsys.readouterr().err == "mmspec: interrupted\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
@pytest.mark.parametrize("words", ["explain", "explain MM001", "--version"])
def test_output_that_finds_no_space_is_one_line(words: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "mmspec", *words.split()],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.stderr == "mmspec: error: cannot write: no space is left where the output goes\n"
    assert done.returncode == 2


def test_a_full_disk_is_no_bug_and_what_was_printed_stays(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: object) -> int:
        print("so far")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("mmspec.cli.explain.run", full)
    assert call("explain", "MM001") == 2
    shown = capsys.readouterr()
    assert shown.out == "so far\n" and "cannot write" in shown.err and "bug" not in shown.err


def test_a_reader_that_goes_away() -> None:
    script = f"{sys.executable} -m mmspec.cli explain | head -1; echo ${{PIPESTATUS[0]}}"
    variables = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    done = subprocess.run(
        ["bash", "-c", script], env=variables, capture_output=True, text=True, check=True
    )
    code, status = done.stdout.splitlines()
    assert code.startswith("MM001")
    assert status in ("0", "141")
    assert not done.stderr


@pytest.mark.parametrize("code", ["MM012", "mm012"])
def test_explain(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("explain", code) == 0
    title, explanation = CODES["MM012"]
    assert capsys.readouterr().out == f"MM012: {title}\n\n{explanation}\n"


def test_explain_lists_all_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("explain") == 0
    assert len(capsys.readouterr().out.splitlines()) == len(CODES)


def test_explain_of_no_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("explain", "MM99") == 2
    assert "no code `MM99`" in capsys.readouterr().err


@pytest.mark.parametrize("kind", list(starters.STARTERS))
def test_new_writes_a_valid_commented_spec(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("new", "mine", "--kind", kind) == 0
    assert (tmp_path / "mine.yaml").read_text().count("#") >= 4
    assert call("check", "mine.yaml") == 0
    assert "mine.yaml: fine" in capsys.readouterr().out


def test_new_has_a_name_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("new") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]
    assert call("check", "mine.yaml") == 0


def test_new_overwrites_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("precious")
    assert call("new", "mine.yaml") == 2
    assert "error[MM604]" in capsys.readouterr().err
    assert (tmp_path / "mine.yaml").read_text() == "precious"


@pytest.mark.parametrize("name", ["class", "Big", "a b", "naïve", "a__b"])
def test_new_takes_only_names(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert call("new", name) == 2
    assert "error[MM105]" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["here"]


HEAVY = ("torch", "sympy", "numpy", "triton", "islpy")


@pytest.mark.parametrize(
    ("arguments", "also"),
    [
        (["--help"], ("pydantic", "yaml", "rich", "mmspec.diagnostics")),
        (["check", GATED], ("rich",)),
    ],
)
def test_nothing_heavy_is_imported(arguments: list[str], also: tuple[str, ...]) -> None:
    program = f"""
import sys
from mmspec.cli.main import main
try:
    main({arguments!r})
except SystemExit:
    pass
print([name for name in {(*HEAVY, *also)!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "[]\n"


def test_no_color_in_a_pipe_or_against_the_users_wish(tmp_path: Path) -> None:
    for command in (["check", broken(tmp_path)], ["show", GATED]):
        done = spawn(*command)
        assert "\x1b" not in done.stdout + done.stderr


def test_a_terminal_of_another_encoding() -> None:
    done = spawn("show", GATED, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "| classifier" in done.stdout
