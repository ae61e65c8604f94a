"""Fair timing on a busy machine: turns taken in alternation, medians, ratios."""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The repository."""

Timings = dict[str, list[float]]


def alternate(measures: Mapping[str, Callable[[], float]], rounds: int) -> Timings:
    """Take each measure once a round, in an order that turns round every time; drop the first."""
    names = list(measures)
    timings: Timings = {name: [] for name in names}
    for turn in range(rounds + 1):
        for name in names if turn % 2 else reversed(names):
            seconds = measures[name]()
            if turn:
                timings[name].append(seconds)
    return timings


def cpu_seconds(command: Sequence[str]) -> float:
    """CPU seconds, user and system, of a command run in the repository; it must exit with 0."""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as child:
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)}: exit {child.returncode}")
    return usage.ru_utime + usage.ru_stime


def table(timings: Timings, baseline: str, what: str) -> str:
    """Median, spread (middle half) and ratio to the baseline, a line each."""
    base = statistics.median(timings[baseline])
    width = max(len(name) for name in timings)
    lines = [f"{what:{width}}  {'median':>8}  {'middle half':>17}  ratio"]
    for name, seconds in timings.items():
        low, middle, high = statistics.quantiles(seconds, n=4)
        half = f"{low:.3f} - {high:.3f} s"
        lines.append(f"{name:{width}}  {middle:6.3f} s  {half:>17}  {middle / base:5.2f}")
    return "\n".join(lines)
