"""A disk that is full: told with the file's name, nothing half left, and runs go on afterwards."""

from __future__ import annotations

import os
import resource
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch
from data_case import source, spec
from training_job import Made, Quiet, Toy, settings
from training_job import spec as toy

from mmspec import private
from mmspec.cli import main, starters, writable
from mmspec.compiler.runtime import tuning
from mmspec.data import dataset, store
from mmspec.diagnostics import MmspecError
from mmspec.train import checkpoint, events, loop, metrics, record
from mmspec.train.job import Job
from mmspec.verify.self_test import SelfTest

SPEC = """
mmspec: 1
name: tiny
modalities:
  text: {kind: tokens, vocab: 256, length: {max: 300}}
streams:
  joint: {from: text, depth: 1, width: 8, heads: 2, attention: window(before=9, after=9)}
heads:
  label: {from: joint, kind: classifier, classes: 3}
"""


@contextmanager
def room(size: int) -> Generator[None]:
    """No file takes more than so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a spec, rows and a cache, to work in."""
    (tmp_path / "tiny.yaml").write_text(SPEC)
    (tmp_path / "rows.csv").write_text("text,label\n" + "a,0\nb,1\n" * 9)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MMSPEC_CACHE", str(tmp_path / "cache"))
    return tmp_path


COMMANDS = {
    "new other": "other.yaml",
    "compile tiny.yaml": "tiny",
    "show tiny.yaml --mask joint --svg a.svg": "a.svg",
    "show tiny.yaml --mask joint --png a.png": "a.png",
    "verify tiny.yaml --law P29 --examples 1 --junit a.xml": "a.xml",
    "train tiny.yaml --data rows.csv --steps 1 --out run": "run",
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("size", [0, 100])
def test_every_command_names_the_file_and_leaves_nothing(
    command: str, size: int, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(os.listdir())
    with room(size):
        assert main.main(command.split()) == 2
    said = capsys.readouterr().err
    assert f"MM603]: cannot write {COMMANDS[command]}: " in said and "free some space" in said
    assert "Traceback" not in said and sorted(os.listdir()) == before


@pytest.mark.parametrize("size", [6000, 12000])
@pytest.mark.parametrize(
    "command", ["compile tiny.yaml", "show tiny.yaml --mask joint --svg a.svg"]
)
def test_what_was_there_stays_where_the_new_finds_no_room(
    command: str, size: int, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "a.svg").write_text("mine")
    assert main.main(["compile", "tiny.yaml"]) == 0
    before = held(here)
    with room(size):
        assert main.main([*command.split(), *(["--force"] if "compile" in command else [])]) == 2
    assert f"cannot write {here if 'compile' in command else ''}" in capsys.readouterr().err
    assert held(here) == before


def held(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_a_device_that_takes_no_more_is_named(tmp_path: Path) -> None:
    for name in ("/dev/full", str(tmp_path / "link")):
        if not os.path.lexists(name):
            os.symlink("/dev/full", name)
        with pytest.raises(MmspecError, match=f"MM603.*{name}: no space left on device"):
            writable.write(Path(name), b"words")
        assert os.path.lexists(name)


def test_files_are_written_where_links_and_pipes_lead(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("file")
    for name, content in (("file", b"new"), ("link", b"newer"), ("fresh", b"made")):
        writable.write(tmp_path / name, content)
    assert (tmp_path / "file").read_bytes() == b"newer" and (tmp_path / "link").is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["file", "fresh", "link"]
    with pytest.raises(FileExistsError):
        writable.write(tmp_path / "file", b"other", is_new=True)
    assert (tmp_path / "file").read_bytes() == b"newer"


@pytest.mark.parametrize("kind", list(starters.STARTERS))
def test_a_starter_that_finds_no_room_is_not_begun(
    kind: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for size in (0, 1, 300):
        with room(size):
            assert main.main(["new", "other", "--kind", kind]) == 2
        assert not os.path.lexists("other.yaml")
    assert main.main(["new", "other", "--kind", kind]) == 0
    assert capsys.readouterr().err.count("cannot write other.yaml") == 3


def test_a_full_cache_keeps_nobody_from_anything(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with room(0):
        for command in ("check", "tune", "analyze", "show"):
            assert main.main([command, "tiny.yaml"]) == 0
    assert not any(path.is_file() for path in (here / "cache").rglob("*"))
    assert "Traceback" not in capsys.readouterr().err


def test_encoded_data_that_finds_no_room_is_told(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_SPOOLED", 9)
    rows = source(text=["a" * 5] * 99, label=[0] * 99)
    with room(50), pytest.raises(MmspecError, match=r"MM603.*encoded.*free some space.*CACHE"):
        dataset.encode(rows, spec("text"))
    assert not any(path.is_file() for path in (here / "cache").rglob("*"))


def test_what_a_cache_has_no_room_for_is_not_begun(here: Path) -> None:
    own = private.cache("tuning")
    assert own is not None
    with room(3):
        with pytest.raises(OSError), private.written(own / "entry") as file:
            file.write(b"words")
        tuning._write({"kernel": "a"}, tuning.Config(4, 2))
    assert not os.listdir(own)
    tuning._write({"kernel": "a"}, tuning.Config(4, 2))
    assert len(os.listdir(own)) == 1


def test_a_report_of_the_laws_is_written_too(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was looked at whether it could be, and then left out."""
    report = SelfTest((), ("P1",), ())
    monkeypatch.setattr("mmspec.verify.self_test.self_test", lambda *_, **__: report)
    assert main.main(["verify", "--self-test", "--junit", "a.xml"]) == 1
    assert (here / "a.xml").read_text() == report.junit()


class Fills(Quiet):
    """Leaves a file of a run some more bytes after a step, and every other file as many."""

    def __init__(self, step: int, name: str, more: int) -> None:
        super().__init__()
        self._step, self._name, self._more = step, name, more

    def stepped(self, row: metrics.Row, total: int | None) -> None:
        """Take the room away."""
        if row["step"] == self._step:
            path = Path(self.out) / self._name
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + self._more, hard))

    out = ""


def go(out: Path, listener: Quiet, resume: bool) -> loop.Outcome:
    chosen = settings(out, steps=12, eval_every=3)
    return loop.train(Job(Toy, toy(), Made(), chosen), listener, resume)


def result(out: Path) -> Any:
    """The curve, the figures and the weights."""
    rows = [(row["step"], row["loss"]) for row in metrics.read(out / metrics.STEPS)]
    state = torch.load(out / checkpoint.NAME, weights_only=True)["model"]
    table = metrics.read(out / metrics.EVALUATIONS)
    return rows, table, {name: tensor.tolist() for name, tensor in state.items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a run comes to that always had room."""
    out = tmp_path_factory.mktemp("whole") / "run"
    go(out, Quiet(), resume=False)
    return result(out)


@pytest.mark.parametrize(
    ("name", "step", "more"),
    [
        (metrics.STEPS, 1, 0),
        (metrics.STEPS, 7, 40),
        (metrics.EVALUATIONS, 3, 20),
        (checkpoint.NAME, 7, -9),
    ],
)
def test_a_run_that_found_no_room_goes_on_to_the_bit(
    name: str, step: int, more: int, whole: Any, tmp_path: Path
) -> None:
    out, listener = tmp_path / "run", Fills(step, name, more)
    listener.out = str(out)
    with room(1 << 30), pytest.raises(MmspecError) as error:
        go(out, listener, resume=False)
    told = str(error.value)
    assert f"MM603]: cannot write {out}/{name}: " in told
    assert "free some space" in told and f"--resume {out}" in told
    go(out, Quiet(), resume=True)
    assert result(out) == whole
    assert not [path for path in out.iterdir() if path.name.endswith(".unfinished")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_event_files_that_find_no_room_are_told_as_the_others(
    whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    out, fresh = tmp_path / "run", events._fresh

    def full(directory: Path) -> tuple[Path, BinaryIO]:
        path, file = fresh(directory)
        file.close()
        return path, Path("/dev/full").open("wb")

    with monkeypatch.context() as patched, pytest.raises(MmspecError) as error:
        patched.setattr(events, "_fresh", full)
        go(out, Quiet(), resume=False)
    assert f"MM603]: cannot write {out}/events.out.tfevents." in str(error.value)
    go(out, Quiet(), resume=True)
    assert result(out) == whole


@pytest.mark.parametrize("size", [0, 90, 4000, 8000])
def test_a_run_that_could_not_begin_can_be_begun(size: int, whole: Any, tmp_path: Path) -> None:
    """Where the folder says what its run is, by resuming it; else nothing is in the way."""
    out = tmp_path / "run"
    with room(size), pytest.raises(MmspecError, match="MM603") as error:
        go(out, Quiet(), resume=False)
    is_run = (out / record.NAME).exists()
    assert is_run == (size >= 4000) and ("--resume" in str(error.value)) == is_run
    go(out, Quiet(), resume=is_run)
    assert result(out) == whole
