"""A run's folder, damaged in every way that a disk or a hand has: told, or without any effect."""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from large import is_deep
from training_job import Made, Quiet, Toy, settings, spec

from mmspec.diagnostics import MmspecError
from mmspec.train import checkpoint, loop, metrics, record
from mmspec.train.job import Job

FLIPS = 150 if is_deep() else 8
"""Single bits changed in each file of a run."""
READ = ("checkpoint.pt", "run.json", metrics.STEPS, metrics.EVALUATIONS)
"""What resuming reads, but for the event files, which it can make anew."""


class Stop(BaseException):
    """Nothing of the trainer's knows it."""


class Stops(Quiet):
    """Ends a run after a step, as a kill does."""

    def stepped(self, row: metrics.Row, total: int | None) -> None:
        """Stop after the 8th."""
        if row["step"] == 8:
            raise Stop


def go(out: Path, listener: Quiet | None = None, resume: bool = True, **given: Any) -> loop.Outcome:
    chosen = settings(out, **{"steps": 10, "eval_every": 3} | given)
    return loop.train(Job(Toy, spec(), Made(), chosen), listener or Quiet(), resume)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed after step 8, with a checkpoint of step 5."""
    out = tmp_path_factory.mktemp("made") / "run"
    with pytest.raises(Stop):
        go(out, Stops(), resume=False)
    return out


@pytest.fixture(scope="module")
def resumed(stopped: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the undamaged run comes to."""
    out = tmp_path_factory.mktemp("resumed") / "run"
    shutil.copytree(stopped, out)
    go(out)
    return result(out)


def result(out: Path) -> dict[str, Any]:
    """The curve, the figures, the weights and the logged scalars."""
    rows = [
        {k: v for k, v in row.items() if k != "seconds"}
        for row in metrics.read(out / metrics.STEPS)
    ]
    stored = torch.load(out / checkpoint.NAME, weights_only=True)["model"]
    weights = {name: tensor.tolist() for name, tensor in stored.items()}
    return {"rows": rows, "table": metrics.read(out / metrics.EVALUATIONS), "weights": weights}


def held(out: Path) -> dict[str, Any]:
    """Everything in a folder."""
    return {
        str(path.relative_to(out)): path.read_bytes() if path.is_file() else path.is_dir()
        for path in sorted(out.rglob("*"))
    }


def refused(out: Path, *codes: str, **given: Any) -> str:
    """Resuming is refused with one of the codes, and changes nothing."""
    before = held(out)
    with pytest.raises(MmspecError) as error:
        go(out, **given)
    assert {d.code for d in error.value.diagnostics} <= set(codes or ("MM613",)), error.value
    assert held(out) == before
    return str(error.value)


@pytest.fixture
def out(stopped: Path, tmp_path: Path) -> Path:
    """A copy of the stopped run."""
    return Path(shutil.copytree(stopped, tmp_path / "run"))


@pytest.mark.deep
@pytest.mark.parametrize("name", [*READ, "spec.yaml", "events", ".lock"])
def test_a_flipped_bit_is_told_or_without_effect(
    name: str, stopped: Path, resumed: dict[str, Any], tmp_path: Path
) -> None:
    source = random.Random(f"flips of {name}")
    told = 0
    for trial in range(FLIPS):
        out = Path(shutil.copytree(stopped, tmp_path / str(trial)))
        path = next(out.glob("events.*")) if name == "events" else out / name
        content = bytearray(path.read_bytes())
        if not content:
            continue
        content[source.randrange(len(content))] ^= 1 << source.randrange(8)
        path.write_bytes(content)
        before = held(out)
        try:
            go(out)
        except MmspecError as error:
            assert [d.code for d in error.diagnostics] == ["MM613"], error
            assert held(out) == before
            told += 1
        else:
            assert result(out) == resumed
            assert scalars(out) == scalars_of(resumed)
    if name in ("checkpoint.pt", "run.json"):
        assert told == FLIPS


def scalars(out: Path) -> list[tuple[int, Any]]:
    """The losses in the event files, by step: files of one second stand in the order of names."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(out))
    events.Reload()
    found = sorted(events.Scalars("loss"), key=lambda event: event.step)
    return [(event.step, pytest.approx(event.value)) for event in found]


def scalars_of(found: dict[str, Any]) -> list[tuple[int, float]]:
    return [(row["step"], row["loss"]) for row in found["rows"]]


OTHERS: tuple[object, ...] = (None, "text", -3, 10**30, -1.5, 1e308, True, [], {}, [[1]], "\x00")


def mutants(value: Any) -> Iterator[Any]:
    """A tree with each of its keys dropped, or holding something else."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        without = copy.copy(value)
        del without[key]
        yield without
        for other in OTHERS:
            if other != value[key]:
                changed = copy.copy(value)
                changed[key] = other
                yield changed
        if isinstance(value[key], dict | list):
            for inner in mutants(value[key]):
                changed = copy.copy(value)
                changed[key] = inner
                yield changed


@pytest.mark.deep
def test_each_key_of_the_record_is_missed_when_it_is_changed(out: Path) -> None:
    """By its digest; and where that was made to fit, by what is read."""
    path = out / record.NAME
    content = json.loads(path.read_text())
    for mutant in islice(mutants(content), None, None, 1 if is_deep() else 13):
        path.write_text(json.dumps(mutant))
        with pytest.raises(MmspecError) as error:
            record.read(out)
        assert [d.code for d in error.value.diagnostics] == ["MM613"]
    del content["sha256"]
    for mutant in islice(mutants(content), None, None, 1 if is_deep() else 5):
        path.write_text(json.dumps(mutant | {"sha256": record._digest(mutant)}))
        try:
            stored = record.read(out)
            record.resumed(stored, settings(out, steps=10, eval_every=3), spec(), Made())
        except MmspecError as error:
            assert {d.code for d in error.diagnostics} <= {"MM612", "MM613"}, error


def test_a_run_of_before_a_word_of_the_language_goes_on(out: Path, resumed: dict[str, Any]) -> None:
    """Its record does not have what is left out: `init`, which is then what it was."""
    path = out / record.NAME
    content = json.loads(path.read_text())
    assert content["spec"].pop("init") == {"kind": "fan-in"}
    del content["sha256"]
    path.write_text(json.dumps(content | {"sha256": record._digest(content)}))
    go(out)
    assert result(out) == resumed


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 10**5, "1" * 10**5, "\xff", "NaN"])
def test_a_record_that_is_none(out: Path, text: str) -> None:
    (out / record.NAME).write_bytes(text.encode("latin-1"))
    refused(out)


def test_each_key_of_a_checkpoint_is_missed_when_it_is_changed(out: Path) -> None:
    """The digest is made to fit, as no accident would; what it says is still looked at."""
    state = checkpoint.load(out)
    assert state is not None
    harmless = {("seconds", "1e+308"), ("total", "None"), ("total", repr(10**30))}
    harmless.add(("attention", "{}"))
    for key in state:
        for other in (KeyError, *OTHERS, [1, "two"], {"a": {}}, torch.zeros(3)):
            if (key, repr(other)) in harmless:
                continue
            mutant = {k: v for k, v in state.items() if k != key}
            checkpoint.save(out, mutant if other is KeyError else mutant | {key: other})
            refused(out)


@pytest.mark.parametrize("name", ["exp_avg", "exp_avg_sq"])
def test_moments_of_another_shape(out: Path, name: str) -> None:
    state = checkpoint.load(out)
    assert state is not None
    state["optimiser"][0][name] = torch.zeros(3, 5, 7)
    checkpoint.save(out, state)
    assert "does not fit the model" in refused(out)


def test_weights_of_another_shape(out: Path) -> None:
    state = checkpoint.load(out)
    assert state is not None
    state["model"]["hidden.weight"] = torch.zeros(3, 5)
    checkpoint.save(out, state)
    assert "does not fit the model" in refused(out)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def made_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def made_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def made_a_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def made_endless(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


DAMAGES = (Path.unlink, emptied, cut, made_a_folder, made_a_pipe, made_a_loop, made_endless)


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_file_that_is_missing_or_no_file(
    name: str, damage: Callable[[Path], None], out: Path, resumed: dict[str, Any]
) -> None:
    damage(out / name)
    if name in (metrics.STEPS, metrics.EVALUATIONS) and damage is cut:  # what is measured again
        go(out)
        assert result(out) == resumed
    else:
        assert name in refused(out) or damage is Path.unlink


@pytest.mark.parametrize("name", ["model.safetensors", ".lock"])
def test_a_folder_in_the_place_of_a_file(name: str, out: Path) -> None:
    (out / name).unlink(missing_ok=True)
    (out / name).mkdir()
    assert name in refused(out)


def test_a_broken_line_of_what_was_measured(out: Path) -> None:
    path = out / metrics.STEPS
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], '{"step": 2, "loss"', *lines[2:]]) + "\n")
    assert metrics.STEPS in refused(out)


def test_a_checkpoint_of_another_run(out: Path, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        go(tmp_path / "other", Stops(), resume=False, seed=1)
    shutil.copy(tmp_path / "other" / checkpoint.NAME, out)
    refused(out)


def test_nothing_is_made_where_there_is_no_run(tmp_path: Path) -> None:
    refused(tmp_path)
    refused(tmp_path / "none" / "at" / "all")
    (tmp_path / "file").write_text("mine")
    refused(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_without_a_lock_gets_none_where_it_is_refused(out: Path) -> None:
    (out / ".lock").unlink()
    refused(out, "MM612", lr=3.0)


def test_a_run_that_was_killed_before_its_first_checkpoint(
    out: Path, resumed: dict[str, Any]
) -> None:
    for name in (checkpoint.NAME, metrics.STEPS, metrics.EVALUATIONS, record.SPEC):
        (out / name).unlink()
    go(out)
    assert result(out) == resumed
    assert (out / record.SPEC).exists()


def test_a_run_may_go_on_for_longer_elsewhere(out: Path) -> None:
    go(out)
    first = metrics.read(out / metrics.STEPS)
    go(out, steps=14, threads=2, eval_every=0, save_every=0)
    rows = metrics.read(out / metrics.STEPS)
    assert [row["step"] for row in rows] == list(range(1, 15))
    assert rows[:10] == first
    assert [row["step"] for row in metrics.read(out / metrics.EVALUATIONS)] == [3, 6, 9, 10, 14]
    assert record.read(out).settings.steps == 14
    assert record.read(out).settings.warmup == settings(out, steps=10).warmup_steps == 1
    assert "can only be raised" in refused(out, "MM612", steps=13)
    assert "ends by steps" in refused(out, "MM612", steps=None, seconds=10.0)


def test_a_run_by_seconds_may_go_on_for_longer(tmp_path: Path) -> None:
    out = tmp_path / "run"
    given: dict[str, Any] = {"steps": None, "warmup": 5, "eval_every": 0}
    first = go(out, resume=False, seconds=0.2, **given)
    more = go(out, seconds=0.8, **given)
    assert more.step > first.step
    assert "can only be raised" in refused(out, "MM612", seconds=0.1, **given)
    assert f"the run plans {more.step}" in refused(out, "MM612", **given | {"steps": 2})
    longer: dict[str, Any] = {**given, "steps": more.step + 3}
    assert go(out, **longer).step == more.step + 3


def test_a_longer_end_is_kept_though_the_run_is_killed(out: Path) -> None:
    with pytest.raises(Stop):
        go(out, Stops(), steps=20)
    assert go(out, steps=20).step == 20
    assert metrics.read(out / metrics.STEPS)[-1]["lr"] < 0.001


def test_other_names_of_the_same_classes_are_other_data(out: Path) -> None:
    other = Made()
    other.classes = {"label": ("first", "third", "second")}
    job = Job(Toy, spec(), other, settings(out, steps=10, eval_every=3))
    with pytest.raises(MmspecError, match="names or the encoding of `label`"):
        loop.train(job, Quiet(), resume=True)
