"""Compile a spec and train it on real data; killed at any step, --resume goes on bit for bit.

A column of the data named like a modality feeds it; one named like a head is its target.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, Final

from mmspec.cli import exits, output

if TYPE_CHECKING:
    from mmspec.train.loop import Job, Outcome
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
        "hide an optional modality with this probability (0.2)",
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
    parser.add_argument("spec", metavar="SPEC", help="a spec file")
    parser.add_argument(
        "--data",
        metavar="NAME|FILE",
        required=True,
        help="a built-in data set, or a manifest",
    )
    parser.add_argument("--out", metavar="DIR", help="the run's folder (default: runs/NAME)")
    parser.add_argument("--resume", action="store_true", help="go on with the run in the folder")
    for name, kind, metavar, text in _NUMBERS:
        parser.add_argument(name, type=kind, metavar=metavar, help=text)
    parser.add_argument(
        "--allow-outside",
        action="store_true",
        default=None,
        help="let the manifest's relative paths leave its folder",
    )
    parser.add_argument("--augment", action="store_true", help="vary the training samples")
    parser.add_argument("--device", metavar="NAME", help="cpu (default) or cuda")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Train and print the held-out figures; exit 130 where Ctrl-C ended the run early."""
    with output.waiting(f"compiling {arguments.spec} and loading {arguments.data}"):
        job = prepared(settings(arguments))
    _note_data(job)
    outcome = trained(job, arguments.resume, quiet=arguments.json)
    if arguments.json:
        output.machine(as_dict(outcome))
    elif not outcome.interrupted:
        _print(outcome)
    if outcome.interrupted:
        output.note(f"stopped after step {outcome.step}; --resume goes on from there")
        return exits.INTERRUPTED
    return exits.FINE


def settings(arguments: argparse.Namespace) -> Settings:
    """The settings given, the others at their defaults; raises MM610 when out of range."""
    from dataclasses import fields

    from mmspec.train.settings import Settings, check

    names = {item.name for item in fields(Settings)}
    given = {k: v for k, v in vars(arguments).items() if k in names and v is not None}
    if "out" not in given:
        from mmspec import text
        from mmspec.schema.validate import validate

        given["out"] = f"runs/{validate(text.read(arguments.spec)).name}"
    return check(Settings(**given))


def prepared(chosen: Settings) -> Job:
    """The compiled model and its data; raises MmspecError where they do not fit."""
    import mmspec
    from mmspec.train.data import open_feed
    from mmspec.train.device import check_device
    from mmspec.train.loop import Job

    check_device(chosen.device)
    spec = mmspec.read(chosen.spec)
    feed = open_feed(spec, chosen)
    return Job(mmspec.compile(chosen.spec), spec, feed, chosen)


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
