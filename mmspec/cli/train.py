"""Compile a spec and train it on real data; killed at any step, --resume goes on bit for bit.

A column of the data named like a modality feeds it; one named like a head is its target.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from mmspec.cli import exits, output, tested, waiting, writable
from mmspec.cli.given import outside

if TYPE_CHECKING:
    from mmspec.schema.spec import Spec
    from mmspec.train.job import Job
    from mmspec.train.loop import Outcome
    from mmspec.train.record import Run
    from mmspec.train.settings import Settings

NAME: Final = "train"
SUMMARY: Final = "train a spec on a built-in data set or your own"

_NUMBERS: Final[tuple[tuple[str, type, str, str], ...]] = (
    ("--steps", int, "N", "train so many steps (default: 1000)"),
    (
        "--seconds",
        float,
        "S",
        "train so many CPU seconds instead; the steps are fixed early",
    ),
    ("--batch", int, "N", "samples a step (default: 64)"),
    ("--accumulate", int, "N", "batches a step, their gradients added up (default: 1)"),
    ("--lr", float, "RATE", "highest learning rate (default: 1e-3)"),
    ("--warmup", int, "N", "steps of linear warm-up (default: a tenth, at most 100)"),
    ("--weight-decay", float, "W", "AdamW's decay of matrices (default: 0.01)"),
    ("--clip", float, "NORM", "largest norm of the gradient (default: 1.0)"),
    ("--seed", int, "N", "seed of weights, batches and dropout (default: 0)"),
    (
        "--eval-every",
        int,
        "N",
        "evaluate every so many steps too (default: at the end)",
    ),
    (
        "--save-every",
        int,
        "N",
        "a checkpoint every so many steps (default: every 15 s)",
    ),
    (
        "--drop-modality",
        float,
        "P",
        "hide an optional modality with this probability (default: 0.2)",
    ),
    (
        "--threads",
        int,
        "N",
        "torch threads; one is fastest for small models (default: 1)",
    ),
)


def options(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument(
        "spec",
        metavar="SPEC",
        nargs="?",
        help="a spec file; with --resume the run's folder will do",
    )
    parser.add_argument("--data", metavar="NAME|FILE", help="a built-in data set, or a manifest")
    parser.add_argument("--out", metavar="DIR", help="the run's folder (default: runs/NAME)")
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="settings in YAML, named like these options; what is given here counts before them",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in the folder: --steps or --seconds may be raised, "
        "--threads, --device, --eval-every and --save-every changed",
    )
    for name, kind, metavar, text in _NUMBERS:
        parser.add_argument(name, type=kind, metavar=metavar, help=text)
    outside(parser, default=None)
    parser.add_argument("--augment", action="store_true", default=None, help="vary the samples")
    parser.add_argument("--device", metavar="NAME", help="cpu (default), cuda or cuda:1")
    parser.add_argument(
        "--precision", metavar="NAME", help="of the forward pass: float32 (default) or bf16"
    )
    parser.add_argument(
        "--init", metavar="FILE", help="begin with these weights: see `mmspec weights --out`"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Train and print the held-out figures; exit 130 where Ctrl-C ended the run early."""
    if arguments.config:
        _take(arguments)
    stored = _stored(arguments) if arguments.resume else None
    chosen = settings(arguments, stored)
    if stored is None:
        _check_free(chosen)
    known = None if stored is None or arguments.spec else stored.spec
    job = prepared(chosen, known, stored)
    _note_data(job)
    if not arguments.json:
        _note_settings(job.settings)
    outcome = trained(job, arguments.resume, quiet=arguments.json)
    if arguments.json:
        output.machine(as_dict(outcome) | {"settings": chosen.settled().stored()})
    elif not outcome.interrupted:
        _print(outcome)
    if outcome.interrupted:
        output.note(f"stopped after step {outcome.step}; --resume {outcome.directory} goes on")
        return exits.INTERRUPTED
    return exits.FINE


def _take(arguments: argparse.Namespace) -> None:
    """The settings of a file, where the command line does not say them."""
    from mmspec.train import written

    for name, value in written.read(arguments.config).items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)


def _stored(arguments: argparse.Namespace) -> Run:
    """The run to go on with: that in --out, in the folder given, or in runs/NAME of the spec."""
    from pathlib import Path

    from mmspec.train import record

    if arguments.spec and Path(arguments.spec).is_dir():
        if arguments.out and Path(arguments.out).resolve() != Path(arguments.spec).resolve():
            arguments.parser.error(f"two runs to resume: {arguments.spec} and {arguments.out}")
        arguments.out, arguments.spec = arguments.spec, None
    if not arguments.spec and not arguments.out:
        arguments.parser.error("--resume: name the folder of the run")
    named = str(arguments.out or arguments.spec)
    if around := _run_around(named):
        arguments.parser.error(f"{named} is a file of a run: --resume takes its folder, {around}")
    folder = Path(arguments.out or _usual(str(arguments.spec)))
    found = record.read(folder)
    record.check_unused(folder)
    return found


def _run_around(named: str) -> str:
    """The folder of the run that a file is of; nothing where it is of none."""
    from pathlib import Path

    from mmspec.train import folder

    path = Path(named)
    return "" if path.is_dir() or not (path.parent / folder.RUN).is_file() else str(path.parent)


def settings(arguments: argparse.Namespace, stored: Run | None = None) -> Settings:
    """The settings given, the others as stored or at their defaults; MM610 when out of range."""
    from dataclasses import fields, replace

    from mmspec.train.settings import Settings, check

    names = {item.name for item in fields(Settings)}
    given: dict[str, Any] = {
        k: v for k, v in vars(arguments).items() if k in names and v is not None
    }
    if stored is None:
        named = given.get("spec", "")
        if os.path.isdir(named):
            arguments.parser.error(f"{named} is a folder: --resume goes on with a run in it")
        if os.path.splitext(named)[1] != ".yaml" and (around := _run_around(named)):
            arguments.parser.error(f"{named} is a file of a run: --resume {around} goes on with it")
        missing = [name for name in ("spec", "data") if name not in given]
        if missing:
            words = {"spec": "SPEC", "data": "--data"}
            needed = ", ".join(words[name] for name in missing)
            arguments.parser.error(f"the following arguments are required: {needed}")
        given.setdefault("out", _usual(given["spec"]))
        return check(Settings(**given))
    if "steps" in given or "seconds" in given:
        given = {"steps": None, "seconds": None} | given
    return check(replace(stored.settings, **given | {"out": stored.settings.out}))


def _check_free(chosen: Settings) -> None:
    """Raise MM611 or MM603 where the run's folder is taken or cannot be made."""
    from pathlib import Path

    from mmspec.train import record

    record.check_free(Path(chosen.out))
    writable.check_folder(Path(chosen.out))


def _usual(spec: str) -> str:
    """The folder of a spec's runs."""
    from mmspec import text
    from mmspec.schema.validate import validate

    return f"runs/{validate(text.read(spec)).name}"


def prepared(chosen: Settings, spec: Spec | None = None, stored: Run | None = None) -> Job:
    """The compiled model and its data; raises MmspecError where they do not fit.

    What costs little to find out is found out first: the spec, the device.
    stored: of a run that is taken up. spec: where that need not be read again.
    """
    from pathlib import Path

    import mmspec
    from mmspec.train import record

    later = (f"compiling {chosen.spec}", f"reading {chosen.data}", "the first step")
    spec = spec or mmspec.read(chosen.spec)
    if stored is not None:
        record.check_same(stored, chosen, spec)
    tested.note_torch()
    with waiting.shown("loading torch", *later):
        from mmspec.compiler import driver, load
        from mmspec.train import data, device, initial, job, state

        device.check_device(chosen.device)
        if stored is None:
            initial.check(spec, chosen.init)
    if stored is not None:
        state.stored(Path(chosen.out))
    with waiting.shown(later[0], *later[1:]):
        model = load.load(driver.emit(spec))
    with waiting.shown(later[1], *later[2:]) as wait:
        feed = data.open_feed(spec, chosen, wait.report)
    return job.Job(model, spec, feed, chosen)


def trained(job: Job, resume: bool, quiet: bool = False) -> Outcome:
    """Train with a progress bar on a terminal, a line now and then in a pipe, or in silence."""
    from mmspec.cli import progress
    from mmspec.train.loop import train

    with progress.listener(job.spec.name, quiet, output.is_terminal(sys.stderr)) as listener:
        return train(job, listener, resume)


def _note_data(job: Job) -> None:
    """On stderr: which columns were found, which values are absent or were cut."""
    from mmspec.train.data import EncodedFeed

    if isinstance(job.feed, EncodedFeed):
        for line in job.feed.notes:
            output.note(line)


def _note_settings(chosen: Settings) -> None:
    """On stderr: the settings that the run uses, a line each in a pipe."""
    from dataclasses import asdict

    facts = {k: v for k, v in asdict(chosen.settled()).items() if v is not None}
    facts |= {name: "yes" if v else "no" for name, v in facts.items() if isinstance(v, bool)}
    facts["data"] = chosen.data
    lines = [f"{name.replace('_', '-')} {value}" for name, value in facts.items()]
    if output.is_terminal(sys.stderr):
        import shutil
        import textwrap

        width = max(shutil.get_terminal_size().columns - len("mmspec: "), 40)
        lines = textwrap.wrap(", ".join(lines), width, break_long_words=False)
    for line in lines:
        output.note(line)


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """The outcome as plain data."""
    from dataclasses import fields

    found = {item.name: getattr(outcome, item.name) for item in fields(outcome)}
    return {k: v if isinstance(v, dict | int | float | None) else str(v) for k, v in found.items()}


def _print(outcome: Outcome) -> None:
    from mmspec.cli import figures

    print("", *figures.table(outcome.table), "", sep="\n")
    print(f"{outcome.step:,} steps in {outcome.seconds:.0f} s of training")
    print(f"run: {outcome.directory}, weights: {outcome.weights}")
