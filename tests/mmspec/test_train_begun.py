"""How a run begins and steps: weights of a file, several batches a step, a forward in bfloat16."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from command_line import call
from safetensors.torch import load_file

import mmspec

SPEC = """
mmspec: 1
name: colours
modalities:
  row: {kind: table, columns: {x: number, y: number}}
streams:
  body: {from: row, depth: 1, width: 8, heads: 2}
heads:
  label: {from: body, kind: classifier, classes: 2}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a spec and 40 rows, of which 32 are trained on: 8 batches of 4, 4 of 8."""
    monkeypatch.chdir(tmp_path)
    Path("colours.yaml").write_text(SPEC)
    rows = [f"{i % 7},{i % 5},{i % 2},{'train' if i < 32 else 'test'}" for i in range(40)]
    Path("rows.csv").write_text("\n".join(["row.x,row.y,label,split", *rows]) + "\n")
    return tmp_path


def train(out: str, *more: str, code: int = 0) -> list[dict[str, float]]:
    """The figures of each step."""
    given = ("train", "colours.yaml", "--data", "rows.csv", "--out", out, "--json", *more)
    assert call(*given) == code
    path = Path(out) / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if code == 0 else []


def test_batches_add_up_to_a_larger_one(here: Path) -> None:
    """Also over the end of an epoch; a gradient that is summed, not averaged, is seen."""
    settings = ("--steps", "6", "--lr", "0.01")
    large = train("large", "--batch", "8", *settings)
    small = train("small", "--batch", "4", "--accumulate", "2", *settings)
    for key in ("loss", "grad_norm"):
        found, wanted = ([row[key] for row in rows] for rows in (small, large))
        assert found == pytest.approx(wanted, rel=1e-5)


def test_a_forward_in_bfloat16_is_near(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ("--steps", "2", "--batch", "8")
    whole, half = train("whole", *settings), train("half", "--precision", "bf16", *settings)
    assert half[0]["loss"] == pytest.approx(whole[0]["loss"], rel=0.02)
    assert half[0]["loss"] != whole[0]["loss"]
    kinds = {value.dtype for value in load_file("half/model.safetensors").values()}
    assert kinds == {torch.float32}
    train("none", "--precision", "fp8", code=2)
    assert "--precision is float32 or bf16, not fp8" in capsys.readouterr().out


def test_a_run_begins_with_weights_of_a_file(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train("first", "--steps", "3", "--lr", "0.1")
    first = Path("first/model.safetensors")
    assert mmspec.load_weights("colours.yaml", first).keys() == load_file(first).keys()
    still = ("--steps", "1", "--lr", "1e-12", "--init", str(first))
    train("second", *still)
    again = load_file("second/model.safetensors")
    assert all(torch.allclose(again[name], value) for name, value in load_file(first).items())
    new = ("weights", "colours.yaml", "first", "--leave", "label_head", "--out", "body.safetensors")
    assert call(*new) == 0
    capsys.readouterr()
    given = ("train", "colours.yaml", "--data", "rows.csv", "--out", "third", "--steps", "1")
    assert call(*given, "--init", "body.safetensors") == 0
    assert "drawn: 2 of label_head" in capsys.readouterr().err
    assert call("train", "--resume", "third", "--steps", "2") == 0  # needs the file no more


def test_weights_of_another_spec_are_refused_before_the_data_is_read(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train("first", "--steps", "1")
    Path("colours.yaml").write_text(SPEC.replace("depth: 1", "depth: 2"))
    Path("rows.csv").unlink()
    train("second", "--init", "first", code=2)
    assert "streams.body.depth is 1 there and 2 here" in capsys.readouterr().out


def test_settings_of_a_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the command line says counts before them; both are stored with the run."""
    lines = ["spec: colours.yaml", "data: rows.csv", "lr: 1e-2", "eval-every: null", "steps: 9"]
    Path("run.yaml").write_text("\n".join([*lines, "drop-modality: 0"]))
    assert call("train", "--config", "run.yaml", "--steps", "1", "--out", "made") == 0
    stored = json.loads(Path("made/run.json").read_text())["settings"]
    assert (stored["lr"], stored["drop_modality"], stored["steps"]) == (0.01, 0, 1)
    Path("run.yaml").write_text("\n".join([*lines, "bach: 3", "augment: 1", "threads: two"]))
    capsys.readouterr()
    assert call("train", "--config", "run.yaml") == 2
    told = capsys.readouterr().err
    assert "run.yaml:6:1 error[MM610]: no setting `bach`" in told
    assert "did you mean `batch`?" in told
    assert "augment is true or false, not 1" in told
    assert "threads is a whole number, not 'two'" in told
    Path("run.yaml").write_text("- 3\n")
    assert call("train", "--config", "run.yaml") == 2
