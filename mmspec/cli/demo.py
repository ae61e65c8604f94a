"""The demonstrations: compile a shipped spec, train it on real data, show it beside baselines.

`python -m mmspec.cli.demo emoji|stamps|watch`; `make demo`, `make stamps` and `make watch` call it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mmspec.cli import exits, figures, output, waiting, writable

if TYPE_CHECKING:
    from mmspec.schema.spec import Spec
    from mmspec.train.job import Job
    from mmspec.train.loop import Outcome

ROOT: Final = Path(__file__).parents[2]
MARKER: Final = ".demo"
RUN: Final = "run"


@dataclass(frozen=True, slots=True)
class Demo:
    """A spec, the data it is trained on, settings that suit both, and a call to try it with."""

    data: str
    lr: float
    batch: int
    drop_modality: float
    augment: bool
    call: str


DEMOS: Final = {
    "emoji": Demo("openmoji", 2e-3, 64, 0.5, True, 'text=torch.tensor([list(b"red apple")])'),
    "stamps": Demo("stamps", 2e-3, 48, 0.3, True, 'text=torch.tensor([list(b"Une pomme.")])'),
    "watch": Demo("watch", 2e-3, 64, 0.2, True, "accelerometer=torch.randn(1, 100, 3)"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one demonstration; exit codes as those of mmspec."""
    parser = argparse.ArgumentParser(prog="python -m mmspec.cli.demo", description=__doc__)
    parser.add_argument("name", choices=sorted(DEMOS), help="the spec")
    parser.add_argument("--seconds", type=float, default=110, help="CPU seconds of training (110)")
    parser.add_argument("--out", type=Path, help="the folder (runs/demo-NAME)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and batches (0)")
    arguments = parser.parse_args(argv)
    from mmspec.diagnostics import MmspecError

    try:
        return _run(arguments)
    except MmspecError as error:
        output.errors(error, as_json=False)
        return exits.USAGE
    except KeyboardInterrupt:
        print("mmspec: interrupted", file=sys.stderr)
        return exits.INTERRUPTED


def _run(arguments: argparse.Namespace) -> int:
    name, demo = arguments.name, DEMOS[arguments.name]
    folder: Path = arguments.out or Path("runs") / f"demo-{name}"
    spec_path = ROOT / "specs" / f"{name}.yaml"
    _refuse(folder)
    job = _prepare(demo, spec_path, folder, arguments)
    _empty(folder)
    with waiting.shown(f"writing the package of specs/{name}.yaml", "training", "baselines"):
        package = _write(spec_path, folder)
    from mmspec.cli.train import trained

    outcome = trained(job, resume=False)
    if outcome.interrupted:
        output.note(f"stopped after step {outcome.step}, before the end")
        return exits.INTERRUPTED
    with waiting.shown(f"fitting the baselines of {demo.data} on the same split"):
        bars = _baselines(demo.data)
    print("", *_table(job.spec, outcome, bars, job.feed.held_out_size, demo.data), "", sep="\n")
    _show_use(package, folder, demo, job)
    return exits.FINE


def _refuse(folder: Path) -> None:
    """Raise MM602 where the folder is not that of an earlier demonstration, or MM603."""
    from mmspec.diagnostics import Diagnostic, MmspecError

    is_empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not is_empty and not (folder / MARKER).exists():
        message = f"{folder} is not the folder of a demonstration"
        raise MmspecError(Diagnostic("MM602", message, help="choose another with --out"))
    writable.check_folder(folder)


def _empty(folder: Path) -> None:
    """What an earlier demonstration left goes; raises MM615 while it still trains, or MM603."""
    from mmspec.diagnostics import unwritable
    from mmspec.train import record

    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).touch()
        with record.locked(folder / RUN, Path.exists):
            for entry in [path for path in folder.iterdir() if path.name != MARKER]:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    except OSError as error:
        raise unwritable(folder, error, "choose another --out") from None


def _write(spec_path: Path, folder: Path) -> Path:
    """The package, in the folder."""
    from mmspec.compiler import driver

    written: Path = driver.run(spec_path, "write", folder / spec_path.stem)
    return written


def _prepare(demo: Demo, spec_path: Path, folder: Path, arguments: argparse.Namespace) -> Job:
    """The model and its data; nothing is written. Raises MmspecError where they are not there."""
    from mmspec.cli.train import prepared
    from mmspec.train.settings import Settings, check

    settings = Settings(
        spec=str(spec_path),
        data=demo.data,
        out=str(folder / RUN),
        seconds=arguments.seconds,
        batch=demo.batch,
        lr=demo.lr,
        seed=arguments.seed,
        drop_modality=demo.drop_modality,
        augment=demo.augment,
    )
    return prepared(check(settings))


def _baselines(data: str) -> dict[str, float]:
    from mmspec.data import registry
    from mmspec.data.baselines import baselines

    return baselines(registry.builtin(data))


def _table(
    spec: Spec, outcome: Outcome, bars: Mapping[str, float], held_out: int, data: str
) -> list[str]:
    """Accuracy by what is present, beside a logistic regression on the same."""
    from mmspec.train.evaluate import conditions

    head = next(iter(spec.heads))
    rows = [[f"accuracy on {held_out:,} held out of {data}", "this model", "logistic regression"]]
    for condition, present in conditions(spec).items():
        names = [name for name in spec.modalities if name in present]
        accuracy = outcome.table[condition][head]["accuracy"]
        rows.append([_row(spec, names), figures.number(accuracy), _bar(bars, names)])
    rows.append(["the most frequent class", figures.number(bars["majority"]), ""])
    return [*figures.aligned(rows), "", *_said(spec, outcome, bars)]


def _said(spec: Spec, outcome: Outcome, bars: Mapping[str, float]) -> Iterator[str]:
    """Whether the model is above the regression with everything, and what each input adds."""
    from mmspec.train.evaluate import ALL, conditions

    head, every = next(iter(spec.heads)), list(spec.modalities)
    whole = outcome.table[ALL][head]["accuracy"]
    bar, told = bars.get(", ".join(every)), " + ".join(every)
    if bar is not None:
        side = "above" if whole > bar else "below" if whole < bar else "level with"
        apart = f"{abs(whole - bar):.3f} " if whole != bar else ""
        yield f"{told}: {apart}{side} the logistic regression"
    for condition, present in conditions(spec).items():
        if condition != ALL:
            names = " + ".join(name for name in every if name in present)
            gain = whole - outcome.table[condition][head]["accuracy"]
            yield f"{told}: {gain:+.3f} over {names} without the rest"


def _row(spec: Spec, names: Sequence[str]) -> str:
    absent = [name for name in spec.modalities if name not in names]
    return " + ".join(names) + (f"  ({', '.join(absent)} absent)" if absent else "")


def _bar(bars: Mapping[str, float], names: Sequence[str]) -> str:
    return figures.number(bars.get(", ".join(names)))


def _show_use(package: Path, folder: Path, demo: Demo, job: Job) -> None:
    """Where the package is, and the lines that import and call it, run in another process."""
    from mmspec.train import checkpoint
    from mmspec.train import folder as files
    from mmspec.train.data import EncodedFeed

    assert isinstance(job.feed, EncodedFeed)
    state = checkpoint.load(Path(job.settings.out))
    assert state is not None
    files.write(folder / "weights.pt", checkpoint.packed(state["model"]))
    lines = use(package.name, demo)
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = _relative(package)
    print(
        f"The package: {shown}/ (torch is all that it needs). In {_relative(folder)}:", "", sep="\n"
    )
    print(*(f"    {line}" for line in lines), "", sep="\n")
    found = done.stdout.strip()
    group = job.feed.classes["label"][int(found.strip("tensor()"))]
    print(f"    {found}    # {group}", "", sep="\n")


def _relative(path: Path) -> Path:
    here = Path.cwd()
    return path.resolve().relative_to(here) if path.resolve().is_relative_to(here) else path


def use(name: str, demo: Demo) -> tuple[str, str, str]:
    """Three lines of Python that import the package and call the trained model."""
    from mmspec.schema.spec import camel

    model = camel(name)
    return (
        f"import torch; from {name} import {model}",
        f'model = {model}().eval(); model.load_state_dict(torch.load("weights.pt"))',
        f"print(model({demo.call}).heads.label.argmax())",
    )


if __name__ == "__main__":
    sys.exit(main())
