"""Attention of a mask beside dense SDPA and FlexAttention: one process, turns alternate, medians.

On a CPU the sparse path, by process CPU time and one thread; on CUDA the kernels compiled from the
masks, by events (`gpu.py` runs all of it in one command). No speed is shown of an output that is
wrong. `--write FILE` keeps the tables.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import attention_check
import attention_peers
import attention_schedule
import measure
import torch
from attention_masks import MASKS, Case
from attention_peers import Attend
from torch import Tensor

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
LEAST = 0.03
"""Seconds of one turn of the fastest, at least about."""
DENSE = 16384
"""Tokens up to which a mask of every pair is made, and dense attention run on a CPU."""
DEVICES = {"cpu": "CPU time of the process, one thread", "cuda": "time between events"}


@dataclass(frozen=True)
class Setting:
    """What a row of a table is measured of."""

    name: str
    case: Case
    dtype: torch.dtype
    options: argparse.Namespace
    inputs: list[Tensor] = field(default_factory=list)

    @property
    def dense(self) -> bool:
        """Whether dense attention takes part."""
        return max(self.case.tokens) <= DENSE

    @property
    def flex(self) -> bool:
        """Whether FlexAttention does; it has no backward on a CPU."""
        wanted: bool = self.options.flex
        return wanted and not (self.options.backward and self.options.device == "cpu")

    def ways(self) -> dict[str, Attend]:
        """Who takes part."""
        ways: dict[str, Attend] = {}
        if self.options.kernels:
            from attention_kernels import kernel

            ways |= kernel(self.case, self.inputs)
        else:
            ways["ours"] = attention_peers.sparse(self.name, self.case)
        if self.dense:
            ways["dense"] = attention_peers.dense(self.case.seen_qk)
        if self.dense or self.options.device == "cuda":
            ways["unmasked"] = attention_peers.dense(None)
            if self.case.causal:
                ways["causal"] = attention_peers.causal
        if self.flex:
            torch.compiler.reset()  # or compiled functions take the slow way after so many masks
        for side in attention_peers.SIDES[self.options.device] if self.flex else ():
            compiled = not self.options.dry
            reused, rebuilt = attention_peers.flex(self.case, side, self.options.device, compiled)
            ways[f"flex {side}"], ways[f"build {side}"] = reused, rebuilt
        return ways

    def run(self, attend: Attend, g_bhqw: Tensor | None = None) -> list[Tensor]:
        """The output; and the gradients where those are asked for."""
        if not self.options.backward:
            with torch.no_grad():
                return [attend(*self.inputs)]
        leaves = [x.detach().requires_grad_() for x in self.inputs]
        y = attend(*leaves)
        g = self.inputs[0] if g_bhqw is None else g_bhqw
        return [y.detach(), *torch.autograd.grad(y, leaves, g)]

    def seconds(self, attend: Attend, calls: int) -> float:
        """Of one call, from so many."""
        if self.options.device == "cuda":
            start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            for _ in range(calls):
                self.run(attend)
            stop.record()
            torch.cuda.synchronize()
            return float(start.elapsed_time(stop)) / 1e3 / calls
        begin = time.process_time()
        for _ in range(calls):
            self.run(attend)
        return (time.process_time() - begin) / calls

    def wrong(self, ways: dict[str, Attend]) -> dict[str, float]:
        """Whose outputs or gradients are wrong, and how much: of some queries, in float64."""
        at = attention_check.places(self.case).to(self.options.device)
        g = attention_check.only(self.inputs[0], at) if self.options.backward else None
        expected = attention_check.expected(self.case, self.inputs, g, at)
        found: dict[str, float] = {}
        for who in sorted(set(ways) - {"unmasked"}):
            try:
                results = self.run(ways[who], g)
            except Exception as error:  # of a compiler, say: the others go on
                print(f"{self.name}, {who}: {type(error).__name__}: {error}", flush=True)
                found[who] = math.inf
                continue
            results[:2] = [x[:, :, at] for x in results[:2]]
            pairs = zip(results, expected, strict=True)
            errors = [attention_check.error(x, truth) for x, truth in pairs]
            if not max(errors) <= attention_check.TOLERANCE[self.dtype]:
                found[who] = max(errors)
        return found

    def measured(self) -> dict[str, float]:
        """Median seconds by who took part, their outputs checked."""
        ways = self.ways()
        wrong = self.wrong(ways)
        if wrong:
            raise SystemExit(f"{self.name}: no speed is shown, relative errors {wrong}")
        return self.timed(ways)

    def timed(self, ways: dict[str, Attend]) -> dict[str, float]:
        """Median seconds of ways that were checked."""
        calls = max(1, int(LEAST / max(self.seconds(ways["ours"], 1), 1e-5)))
        measures = {
            who: self._measure(way, 1 if who.startswith("build") else calls)
            for who, way in ways.items()
        }
        timings = measure.alternate(measures, self.options.rounds)
        return {who: statistics.median(times) for who, times in timings.items()}

    def _measure(self, way: Attend, calls: int) -> Callable[[], float]:
        return lambda: self.seconds(way, calls)


def settings(options: argparse.Namespace, length: int) -> Iterator[Setting]:
    """The rows of a length."""
    for name in options.masks:
        case = MASKS[name](length).on(options.device)
        queries, keys = case.tokens
        for label in options.dtypes:
            torch.manual_seed(0)
            inputs = [
                torch.randn(1, options.heads, tokens, options.width).to(
                    options.device, DTYPES[label]
                )
                for tokens in (queries, keys, keys)
            ]
            title = f"{name} | {length} | {label}"
            yield Setting(title, case, DTYPES[label], options, inputs)


@dataclass(frozen=True)
class Row:
    """What was measured of a setting: seconds by who took part."""

    setting: Setting
    seconds: dict[str, float]

    @property
    def dense(self) -> float | None:
        """The faster of SDPA's ways to do the same."""
        found = [self.seconds[who] for who in ("dense", "causal") if who in self.seconds]
        return min(found, default=None)

    def best(self, who: str) -> float | None:
        """The faster of FlexAttention's block sizes."""
        return min((s for name, s in self.seconds.items() if name.startswith(who)), default=None)

    def times(self, other: float | None) -> float | None:
        """How many times as long something took."""
        return None if other is None else other / self.seconds["ours"]

    def times_anew(self, other: float | None) -> float | None:
        """The same where each call makes the mask anew: of ours only where documents are."""
        return None if other is None else other / self.seconds.get("anew", self.seconds["ours"])

    @property
    def ideal(self) -> float | None:
        """Dense without a mask x density, beside ours."""
        whole = self.seconds.get("unmasked")
        return self.times(None if whole is None else whole * self.setting.case.density)

    @cached_property
    def way(self) -> str:
        """By what it was computed."""
        setting = self.setting
        if setting.options.kernels:
            return "kernels"
        return attention_peers.way(setting.case, setting.inputs, setting.options.backward)

    def cells(self) -> Iterator[str]:
        """Of its line in the table."""
        setting = self.setting
        yield from (setting.name, f"{setting.case.density:.4f}")
        if not setting.options.kernels:
            yield self.way
        yield _number(self.seconds["ours"], 1e3)
        yield from (_number(self.dense, 1e3), _number(self.times(self.dense)))
        yield _number(self.ideal)
        if setting.flex:
            reused, built = self.best("flex"), self.best("build")
            yield from (_number(reused, 1e3), _number(self.times(reused)))
            yield from (_number(built, 1e3), _number(self.times_anew(built)))


def _number(x: float | None, scale: float = 1.0) -> str:
    return "" if x is None else f"{x * scale:.2f}"


def heading(options: argparse.Namespace) -> str:
    """What was measured, on what, and the head of the table."""
    what = "forward + backward" if options.backward else "forward"
    columns = ["mask", "length", "dtype", "density"] + ["way"] * (not options.kernels)
    columns += ["ours ms", "dense ms", "x dense", "of ideal"]
    if options.flex and not (options.backward and options.device == "cpu"):
        columns += ["flex ms", "x flex", "flex + build ms", "x flex + build"]
    return "\n".join(
        [
            f"**{what}**: batch 1, {options.heads} heads of {options.width}, median of"
            f" {options.rounds} turns, {DEVICES[options.device]}; {attention_peers.machine()}",
            "",
            f"| {' | '.join(columns)} |",
            "|---" * len(columns) + "|",
        ]
    )


def summary(rows: list[Row]) -> str:
    """What was below the bars; what is left to dense SDPA is no slower than that but for noise."""
    left = sum(row.way == "dense" for row in rows)
    lines = ["", f"Left to dense SDPA: {left} of {len(rows)}.", ""] if left else [""]
    named = [(row.setting.name.replace(" | ", " "), row) for row in rows]
    slower = [(name, row.times(row.dense)) for name, row in named if row.way != "dense"]
    short = [(name, row.ideal) for name, row in named]
    for what, found, bar in (
        ("Slower than dense", slower, 1.0),
        ("Below 0.6 of ideal", short, 0.6),
    ):
        known = [(name, ratio) for name, ratio in found if ratio is not None]
        under = [f"{name} ({ratio:.2f})" for name, ratio in known if ratio < bar]
        text = f"{what}: {len(under)} of {len(known)}. {'; '.join(under)}".rstrip()
        lines += [text, ""] if known else []
    return "\n".join(lines)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--masks", nargs="+", default=list(MASKS), choices=list(MASKS))
    parser.add_argument("--lengths", nargs="+", type=int, default=[256, 1024, 4096])
    parser.add_argument("--dtypes", nargs="+", default=["fp32", "bf16"], choices=list(DTYPES))
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backward", action="store_true", help="forward and backward")
    parser.add_argument("--flex", action="store_true", help="FlexAttention too: it compiles long")
    parser.add_argument("--device", default="cpu", choices=list(DEVICES))
    parser.add_argument("--schedule", action="store_true", help="only what schedules cost at 1M")
    parser.add_argument("--write", type=Path, help="a file that the tables are added to")
    options = parser.parse_args()
    options.kernels, options.dry = options.device == "cuda", False
    return options


def main() -> None:
    """Measure what the options ask for and print a table."""
    options = parsed()
    torch.set_num_threads(1)
    lines: list[str] = []

    def say(text: str) -> None:
        lines.append(text)
        print(text, flush=True)

    if options.schedule:
        for text in attention_schedule.table_lines(options.masks):
            say(text)
    else:
        say(heading(options))
        rows: list[Row] = []
        for length in options.lengths:
            for setting in settings(options, length):
                rows.append(Row(setting, setting.measured()))
                say(f"| {' | '.join(rows[-1].cells())} |")
        say(summary(rows))
    if options.write:
        options.write.parent.mkdir(exist_ok=True)
        with options.write.open("a") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
