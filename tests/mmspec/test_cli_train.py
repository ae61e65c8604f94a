"""`mmspec train`: resumed from its folder alone, what it says first, and what it refuses first."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import call

from mmspec.cli import progress
from mmspec.train import metrics

SPEC = """
mmspec: 1
name: tiny
modalities:
  text: {kind: tokens, vocab: 256, length: {max: 12}, optional: true}
  facts: {kind: table, columns: {w: number, side: {categories: 3}}, optional: true}
streams:
  joint: {from: [text, facts], depth: 1, width: 8, heads: 2, dropout: 0.2}
heads:
  label: {from: joint, kind: classifier, classes: 3}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a spec and its data, to work in."""
    (tmp_path / "tiny.yaml").write_text(SPEC)
    lines = [f"word {i},{i / 9},{'lr'[i % 2]},{'ab'[i % 2]}" for i in range(40)]
    (tmp_path / "rows.csv").write_text("\n".join(["text,w,side,label", *lines]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


TRAIN = ("train", "tiny.yaml", "--data", "rows.csv", "--batch", "8", "--eval-every", "2")


def curve(out: str) -> list[Any]:
    rows = metrics.read(Path(out) / metrics.STEPS)
    return [(row["step"], row["loss"], row["grad_norm"], row["lr"]) for row in rows]


def everything(out: Path) -> dict[str, Any]:
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(out.iterdir())}


def test_a_run_goes_on_from_its_folder_alone(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From another folder, without the spec, moved, for longer: as if it had never stopped."""
    assert call(*TRAIN, "--steps", "8", "--out", "whole") == 0
    with monkeypatch.context() as patched, pytest.raises(Stop):
        patched.setattr(progress.Lines, "stepped", stop_after_five)
        call(*TRAIN, "--steps", "8", "--save-every", "2", "--out", "cut")
    assert [step for step, *_ in curve("cut")][-1] == 5
    (here / "tiny.yaml").unlink()
    (here / "else").mkdir()
    shutil.move("cut", "else/cut")
    monkeypatch.chdir("else")
    capsys.readouterr()
    assert call("train", "--resume", "cut") == 0
    said = capsys.readouterr()
    assert "mmspec: steps 8\n" in said.err and "mmspec: batch 8\n" in said.err
    assert "on from step 4" in said.err
    assert curve("cut") == curve("../whole")
    weights = [torch.load(p / "checkpoint.pt")["model"] for p in (Path("cut"), here / "whole")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])

    assert call("train", "cut", "--resume", "--steps", "11", "--threads", "2") == 0
    assert [step for step, *_ in curve("cut")] == list(range(1, 12))
    assert curve("cut")[:8] == curve("../whole")


class Stop(BaseException):
    """Nothing of mmspec's knows it, as it knows nothing of a kill."""


def stop_after_five(_: progress.Lines, row: metrics.Row, total: int | None) -> None:
    """In place of a line."""
    if row["step"] == 5:
        raise Stop


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (("--lr", "0.5"), "MM612"),
        (("--steps", "1"), "MM612"),
        (("--seconds", "9"), "MM612"),
        (("--data", "other.csv"), "MM612"),
        (("--data", "none.csv"), "MM500"),
        (("--device", "mps"), "MM617"),
        (("--batch", "0"), "MM610"),
        (("tiny2.yaml",), "MM612"),
    ],
)
def test_a_resume_that_is_refused_changes_nothing(
    more: tuple[str, ...],
    code: str,
    made: Path,
    here: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(made, "run")
    (here / "tiny2.yaml").write_text(SPEC.replace("width: 8", "width: 4"))
    (here / "other.csv").write_text((here / "rows.csv").read_text().replace("word 7", "word 8"))
    before = everything(here / "run")
    assert call("train", "--resume", "--out", "run", *more) == 2
    assert f"error[{code}]" in capsys.readouterr().err
    assert everything(here / "run") == before
    assert not (here / "runs").exists()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 3 steps."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "tiny.yaml").write_text(SPEC)
    lines = [f"word {i},{i / 9},{'lr'[i % 2]},{'ab'[i % 2]}" for i in range(40)]
    (folder / "rows.csv").write_text("\n".join(["text,w,side,label", *lines]))
    names = {str(folder / word) if "." in word else word: 0 for word in TRAIN}
    assert call(*names, "--steps", "3", "--out", str(folder / "run")) == 0
    return folder / "run"


@pytest.mark.parametrize("words", [("--resume",), ("--resume", "none"), ("none", "--resume")])
def test_a_resume_of_nothing(words: tuple[str, ...], here: Path) -> None:
    before = sorted(os.listdir())
    assert call("train", *words) == 2
    assert sorted(os.listdir()) == before


def test_the_folder_of_a_run_is_no_spec(
    made: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("train", str(made), "--data", "rows.csv") == 2
    assert "--resume goes on" in capsys.readouterr().err


FILES = ("checkpoint.pt", "run.json", "spec.yaml", "metrics.jsonl", "gone.pt")


WAYS = ("--resume {}", "{} --resume", "--resume --out {}", "{} --data x")


@pytest.mark.parametrize("words", WAYS)
@pytest.mark.parametrize("name", FILES)
def test_a_file_of_a_run_names_its_folder(
    words: str, name: str, made: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(made, "run")
    before = everything(here / "run")
    assert call("train", *words.format(f"run/{name}").split()) == 2
    said = capsys.readouterr().err
    if words == "{} --data x" and name == "spec.yaml":
        assert "MM500" in said  # the resolved spec is one to begin with
    else:
        assert f"run/{name} is a file of a run: --resume" in said
        assert said.splitlines()[0].removesuffix(" goes on with it").endswith(" run")
    assert everything(here / "run") == before and not Path("runs").exists()


@pytest.mark.parametrize("words", [("tiny.yaml",), ("--data", "rows.csv"), ()])
def test_what_a_new_run_needs(
    words: tuple[str, ...], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("train", *words) == 2
    assert "are required" in capsys.readouterr().err
    assert not (here / "runs").exists()


def test_the_settings_are_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*TRAIN, "--steps", "30", "--json") == 0
    said = capsys.readouterr()
    chosen = json.loads(said.out)["settings"]
    assert (chosen["warmup"], chosen["drop_modality"], chosen["lr"]) == (3, 0.2, 0.001)
    assert "warmup" not in said.err
    assert call(*TRAIN, "--steps", "30", "--out", "again") == 0
    lines = capsys.readouterr().err.splitlines()
    assert {"mmspec: warmup 3", "mmspec: drop-modality 0.2", "mmspec: data rows.csv"} <= {*lines}
    assert {f"mmspec: {name.replace('_', '-')}" for name in chosen if chosen[name] is not None} <= {
        line.rpartition(" ")[0] for line in lines
    }


DEVICES = ("mps", "mkldnn", "meta", "hpu", "privateuseone", "gpu", " ", "cuda:99", "cpu:x", "-1")


@pytest.mark.parametrize("name", DEVICES)
def test_a_device_that_is_not_there_is_one_line(
    name: str, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before data is read: there is none."""
    assert call("train", "tiny.yaml", "--data", "none.csv", f"--device={name}") == 2
    said = capsys.readouterr().err
    assert "error[MM617]" in said and "Traceback" not in said and "MM500" not in said
    told = [line for line in said.splitlines() if "loading torch" not in line]
    assert len(told) == 2
    assert not (here / "runs").exists()


def test_a_folder_that_is_taken_is_told_before_the_data_is_read(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "thesis.tex").write_text("mine")
    for out, code in (("mine", "MM611"), ("mine/thesis.tex/run", "MM603"), ("/proc/x", "MM603")):
        assert call("train", "tiny.yaml", "--data", "none.csv", "--out", out) == 2
        assert code in capsys.readouterr().err
    assert os.listdir("mine") == ["thesis.tex"]
