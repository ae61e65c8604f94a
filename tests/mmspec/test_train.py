"""The trainer: it learns, resumes bit for bit after a kill, and refuses what would lose a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from training_job import Made, Output, Quiet, Toy, settings, spec

from mmspec import text
from mmspec.diagnostics import MmspecError
from mmspec.schema.resolved import resolved
from mmspec.schema.validate import validate
from mmspec.train import loop, metrics, record
from mmspec.train.job import Job
from mmspec.train.settings import Settings, check

ROOT = Path(__file__).parents[2]


def run(out: Path, resume: bool = False, **given: object) -> tuple[loop.Outcome, Quiet]:
    listener = Quiet()
    job = Job(Toy, spec(), Made(), settings(out, **given))
    return loop.train(job, listener, resume), listener


class Interrupts(Quiet):
    """Presses Ctrl-C after a step."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.last = step

    def stepped(self, row: metrics.Row, total: int | None) -> None:
        """Keep the row; interrupt."""
        super().stepped(row, total)
        if row["step"] == self.last:
            os.kill(os.getpid(), signal.SIGINT)


class Killed(BaseException):
    """What no handler of the trainer knows, as it knows nothing of a kill."""


class Kills(Quiet):
    """Ends a run after a step without a checkpoint."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.last = step

    def stepped(self, row: metrics.Row, total: int | None) -> None:
        """Keep the row; be killed."""
        super().stepped(row, total)
        if row["step"] == self.last:
            raise Killed


def curve(out: Path) -> list[tuple[int, float, float]]:
    rows = metrics.read(out / metrics.STEPS)
    return [(row["step"], row["loss"], row["grad_norm"]) for row in rows]


def codes(error: pytest.ExceptionInfo[MmspecError]) -> list[str]:
    return [diagnostic.code for diagnostic in error.value.diagnostics]


def test_a_run_learns_and_leaves_its_files(tmp_path: Path) -> None:
    outcome, listener = run(tmp_path / "run", steps=80)
    table = outcome.table
    assert table["all present"]["label"]["accuracy"] > 0.9
    assert table["without sound"]["label"]["accuracy"] < 0.7
    assert set(table) == {"all present", "without sound", "without row"}
    names = {path.name for path in (tmp_path / "run").iterdir()}
    kept = {"run.json", "spec.yaml", "metrics.jsonl", "evaluation.jsonl", "checkpoint.pt"}
    assert kept <= names
    assert "model.safetensors" in names
    assert listener.rows[0]["losses"].keys() == {"label"}
    assert listener.rows[0]["auxiliary"].keys() == {"joint.size"}
    assert not [name for name in names if name.startswith(".") and name != ".lock"]


def test_the_weights_load_into_the_model(tmp_path: Path) -> None:
    outcome, _ = run(tmp_path / "run")
    assert outcome.weights is not None
    model = Toy()
    model.load_state_dict(load_file(outcome.weights))
    stored = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert all(torch.equal(stored["model"][k], v) for k, v in model.state_dict().items())


def spawn(out: Path, *more: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    job = str(Path(__file__).with_name("training_job.py"))
    command = [sys.executable, job, str(out), "4000", *more]
    return subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE)


def wait_for(path: Path, steps: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < steps:
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_killed_run_resumes_to_the_same_curve_bit_for_bit(tmp_path: Path) -> None:
    out, whole = tmp_path / "killed", tmp_path / "whole"
    for count, more in ((23, []), (61, ["resume"])):
        process = spawn(out, *more)
        wait_for(out / metrics.STEPS, count, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with (out / metrics.STEPS).open("a") as file:
        file.write('{"step": 10000, "lo')
    process = spawn(out, "resume")
    wait_for(out / metrics.STEPS, 150, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    resumed = [row for row in curve(out) if row[0] <= 140]
    job = Job(Toy, spec(), Made(), settings(whole, steps=4000))
    loop.train(job, Interrupts(140))
    assert [row[0] for row in resumed] == list(range(1, 141))
    assert resumed == [row for row in curve(whole) if row[0] <= 140]


def test_the_random_state_matters_to_the_curve(tmp_path: Path) -> None:
    run(tmp_path / "a", seed=1)
    run(tmp_path / "b", seed=2)
    assert curve(tmp_path / "a") != curve(tmp_path / "b")


def test_interrupting_saves_and_resuming_finishes(tmp_path: Path) -> None:
    job = Job(Toy, spec(), Made(), settings(tmp_path / "run", save_every=0))
    outcome = loop.train(job, Interrupts(7))
    assert (outcome.interrupted, outcome.step) == (True, 7)
    outcome, _ = run(tmp_path / "run", resume=True, save_every=0)
    assert (outcome.interrupted, outcome.step) == (False, 40)
    run(tmp_path / "whole")
    assert curve(tmp_path / "run") == curve(tmp_path / "whole")


def test_resuming_a_finished_run_repeats_nothing(tmp_path: Path) -> None:
    first, _ = run(tmp_path / "run", eval_every=10)
    again, listener = run(tmp_path / "run", resume=True, eval_every=10)
    assert again.table == first.table
    assert not listener.rows
    rows = metrics.read(tmp_path / "run" / metrics.EVALUATIONS)
    assert [row["step"] for row in rows] == [10, 20, 30, 40]


def test_a_run_is_never_overwritten(tmp_path: Path) -> None:
    run(tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(MmspecError) as error:
        run(tmp_path / "run")
    assert codes(error) == ["MM611"]
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}


def test_a_folder_of_the_users_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(MmspecError) as error:
        run(tmp_path)
    assert codes(error) == ["MM611"]


def test_other_settings_spec_or_data_are_refused(tmp_path: Path) -> None:
    run(tmp_path / "run")
    with pytest.raises(MmspecError) as error:
        run(tmp_path / "run", resume=True, lr=0.02, batch=8)
    assert codes(error) == ["MM612", "MM612"]
    assert "lr: 0.02 here, 0.01 in the run" in str(error.value)

    other = Made()
    other.fingerprint = "other"
    job = Job(Toy, spec(), other, settings(tmp_path / "run"))
    with pytest.raises(MmspecError, match="the data is not"):
        loop.train(job, Quiet(), resume=True)


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(MmspecError) as error:
        run(tmp_path / "none", resume=True)
    assert codes(error) == ["MM613"]


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    run(tmp_path / "run")
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"half a file")
    with pytest.raises(MmspecError) as error:
        run(tmp_path / "run", resume=True)
    assert codes(error) == ["MM613"]


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    with record.locked(tmp_path / "run", Path.exists), pytest.raises(MmspecError) as error:
        run(tmp_path / "run")
    assert codes(error) == ["MM615"]


class Explodes(Toy):
    """Its loss is infinite from the 13th step on."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, *args: object, **given: object) -> Output:
        """The toy's, until it explodes."""
        output = super().forward(*args, **given)  # type: ignore[arg-type]
        self.calls += self.training
        if self.calls < 13 or output.loss is None:
            return output
        return output._replace(loss=output.loss * float("inf"))


def test_an_infinite_loss_stops_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    job = Job(Explodes, spec(), Made(), settings(tmp_path / "run"))
    with pytest.raises(MmspecError, match=r"step 13: .*last good checkpoint") as error:
        loop.train(job, Quiet())
    assert codes(error) == ["MM614"]
    stored = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert stored["step"] == 10
    assert all(tensor.isfinite().all() for tensor in stored["model"].values())


def test_a_budget_of_seconds_ends_a_run_near_it(tmp_path: Path) -> None:
    outcome, listener = run(tmp_path / "run", steps=None, seconds=0.5, warmup=20, save_every=0)
    assert not outcome.interrupted
    assert 0.25 < outcome.seconds < 30  # however busy the machine is
    rates = [row["lr"] for row in listener.rows]
    assert rates.index(max(rates)) == 19
    assert rates[-1] < 0.1 * max(rates)


def test_event_files_hold_the_curve(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run(tmp_path / "run", steps=12)
    events = accumulator.EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    found = [(event.step, event.value) for event in events.Scalars("loss")]
    wanted = [(step, loss) for step, loss, _ in curve(tmp_path / "run")]
    assert [step for step, _ in found] == [step for step, _ in wanted]
    assert [v for _, v in found] == pytest.approx([v for _, v in wanted], rel=1e-6)


def logged(out: Path) -> dict[str, list[int]]:
    """The steps of every scalar in the event files, record by record."""
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
    found: dict[str, list[int]] = {}
    for path in sorted(out.glob("events.out.tfevents.*")):
        for event in loader.LegacyEventFileLoader(str(path)).Load():
            for value in event.summary.value:
                found.setdefault(value.tag, []).append(event.step)
    return {tag: sorted(steps) for tag, steps in found.items()}


@pytest.mark.parametrize("killed_at", [[3], [13], [3, 4, 12, 21]])
def test_event_files_of_a_killed_run_hold_each_step_once(
    tmp_path: Path, killed_at: list[int]
) -> None:
    out = tmp_path / "run"
    for number, step in enumerate(killed_at):
        with pytest.raises(Killed):
            job = Job(Toy, spec(), Made(), settings(out, steps=30, eval_every=5))
            loop.train(job, Kills(step), resume=number > 0)
    last = max(out.glob("events.*"), key=lambda path: path.stat().st_mtime_ns)
    last.write_bytes(last.read_bytes()[:-7])
    run(out, resume=True, steps=30, save_every=5, eval_every=5)
    run(tmp_path / "whole", steps=30, eval_every=5)
    found = logged(out)
    assert found == logged(tmp_path / "whole")
    assert found["loss"] == list(range(1, 31))


def test_an_evaluation_that_no_event_file_holds_yet_is_added(tmp_path: Path) -> None:
    run(tmp_path / "run", steps=12)
    whole = logged(tmp_path / "run")
    for path in (tmp_path / "run").glob("events.*"):
        path.write_bytes(path.read_bytes()[:-100])
    assert logged(tmp_path / "run") != whole
    run(tmp_path / "run", resume=True, steps=12)
    assert logged(tmp_path / "run") == whole


def test_what_a_killed_writer_left_is_swept_up(tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / ".run.json.abc.unfinished").write_bytes(b"{")
    run(out, steps=6)
    (out / ".checkpoint.pt.abc.unfinished").write_bytes(bytes(99))
    (out / "spec.yaml").unlink()
    run(out, resume=True, steps=6)
    assert (out / "spec.yaml").exists()
    assert {path.name for path in out.iterdir() if path.name.startswith(".")} == {".lock"}


def test_a_budget_of_seconds_is_planned_once_though_the_run_is_killed(tmp_path: Path) -> None:
    out, given = tmp_path / "run", {"steps": None, "seconds": 0.5, "warmup": 20, "save_every": 0}
    with pytest.raises(Killed):
        job = Job(Toy, spec(), Made(), settings(out, **given))
        loop.train(job, Kills(30))
    planned = {row["step"]: row["lr"] for row in metrics.read(out / metrics.STEPS)}
    run(out, resume=True, **given)
    again = {row["step"]: row["lr"] for row in metrics.read(out / metrics.STEPS)}
    assert planned == {step: rate for step, rate in again.items() if step <= 30}


def test_the_record_is_json_that_holds_spec_data_and_versions(tmp_path: Path) -> None:
    run(tmp_path / "run")
    stored = json.loads((tmp_path / "run" / "run.json").read_text())
    assert stored["data"] == "made"
    assert stored["settings"]["steps"] == 40
    assert resolved(validate(text.parse(json.dumps(stored["spec"])))) == resolved(spec())
    assert stored["versions"]["torch"] == torch.__version__


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"steps": 0}, "--steps is at least 1"),
        ({"lr": float("nan")}, "--lr is a finite number"),
        ({"lr": -1.0}, "--lr is above 0"),
        ({"batch": 0}, "--batch is at least 1"),
        ({"drop_modality": 1.0}, "--drop-modality is a share"),
        ({"seconds": 0.0}, "--seconds is above 0"),
        ({"steps": 3, "seconds": 3.0}, "give one of them"),
        ({"seed": -1}, "--seed is from 0"),
    ],
)
def test_settings_out_of_range_are_named(given: dict[str, float], words: str) -> None:
    with pytest.raises(MmspecError, match=words) as error:
        check(Settings(spec="s", data="d", out="o", **given))  # type: ignore[arg-type]
    assert codes(error) == ["MM610"]


def test_settings_that_an_older_mmspec_did_not_know_are_at_their_default() -> None:
    stored = Settings(spec="s", data="d", out="o", batch=3).stored()
    del stored["allow_outside"]
    assert Settings.restored(stored, "p") == Settings(spec="s", data="d", out="p", batch=3)
    for wrong in ({"later": 1}, {"batch": "3"}, {"batch": True}, {"lr": None}, {"augment": 1}):
        with pytest.raises(ValueError):
            Settings.restored(stored | wrong, "p")
    assert Settings.restored(stored | {"lr": 1}, "p").lr == 1


def test_parameters_are_counted(tmp_path: Path) -> None:
    outcome, _ = run(tmp_path / "run", steps=1)
    assert outcome.parameters == 5 * 16 + 16 + 16 * 3 + 3
    assert isinstance(Toy(), nn.Module)
