"""Compiling and analysing specs of 100 layers, beyond the imports that this takes."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from measure import ROOT

LAYERS = 100
ATTENTION = ("full", "causal", "window(before=16, after=15)", "block(8) | global(2)")
FEED_FORWARD = (
    "{kind: mlp}",
    "{kind: glu, activation: silu}",
    "{kind: experts, experts: 4, choose: 2}",
)
HEAD = """\
mmspec: 1
name: layers_100
modalities:
  text: {kind: tokens, vocab: 512, length: {max: 64}, position: learned}
streams:
"""


def deep() -> str:
    """One stream of 100 equal blocks."""
    return (
        f"{HEAD}  text: {{from: text, depth: {LAYERS}, width: 32, heads: 4, attention: causal}}\n"
        "heads:\n  next: {from: text, kind: language-model}\n"
    )


def chain() -> str:
    """A hundred streams of one block, each reading the one before, of twelve different kinds."""
    lines = [HEAD]
    for index in range(LAYERS):
        source = f"s{index - 1}" if index else "text"
        attention = ATTENTION[index % len(ATTENTION)]
        feed_forward = FEED_FORWARD[index % len(FEED_FORWARD)]
        lines.append(
            f"  s{index}: {{from: {source}, depth: 1, width: 32, heads: 4, "
            f'attention: "{attention}", feed_forward: {feed_forward}}}\n'
        )
    lines.append(f"heads:\n  label: {{from: s{LAYERS - 1}, kind: classifier, classes: 7}}\n")
    return "".join(lines)


SPECS = {"one stream of 100 blocks": deep, "100 streams of one block": chain}


def load_everything() -> None:
    """Import all that the steps below import on their way, so that none of it is timed."""
    for layer in ("schema", "text", "expressions", "compiler", "verify.costs"):
        package = importlib.import_module(f"mmspec.{layer}")
        for module in pkgutil.walk_packages(package.__path__, f"mmspec.{layer}."):
            importlib.import_module(module.name)
    importlib.import_module("mmspec.verify.analyze")


def once(path: Path) -> Iterator[tuple[str, float]]:
    """CPU seconds of each job on a spec in this process, which has done none before."""
    load_everything()
    from mmspec.compiler import driver
    from mmspec.verify.analyze import analyze

    start = time.process_time()
    written = driver.run(path, "write", path.parent / "package")
    yield "compile", time.process_time() - start
    assert (Path(written) / "model.py").is_file()

    plan = driver.run(path, "lower")
    start = time.process_time()
    figures = analyze(plan).as_dict()
    yield "analyze", time.process_time() - start
    assert figures


def measured(spec: str) -> dict[str, float]:
    """The same in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layers_100.yaml"
        path.write_text(spec, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, __file__, "--once", str(path)],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    lines = (line.split() for line in done.stdout.splitlines())
    return {job: float(seconds) for job, seconds in lines}


def main() -> None:
    """Print medians of CPU seconds, beside the one second that they must stay below."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="fresh processes for each spec")
    parser.add_argument("--once", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        for job, seconds in once(arguments.once):
            print(job, seconds)
        return
    print("CPU seconds beyond imports, median of fresh processes (to stay below 1.000)")
    for name, spec in SPECS.items():
        runs = [measured(spec()) for _ in range(arguments.rounds)]
        for job in runs[0]:
            print(f"  {name}, {job}: {statistics.median(run[job] for run in runs):.3f}")


if __name__ == "__main__":
    main()
