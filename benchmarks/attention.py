"""Attention of a mask beside dense SDPA and FlexAttention: one process, turns alternate, medians.

On a CPU the sparse path, by process CPU time and one thread; on CUDA what `--kernel` names, by
events. No speed is shown of an output that is wrong. `--write FILE` keeps the tables.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import attention_peers
import measure
import torch
from attention_masks import MASKS, Case
from attention_peers import Attend
from torch import Tensor

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 2e-2, torch.float16: 5e-3}
LEAST = 0.03
"""Seconds of one turn of dense attention, at least about."""
DEVICES = {"cpu": "CPU time of the process, one thread", "cuda": "time between events"}


@dataclass(frozen=True)
class Setting:
    """What a row of a table is measured of."""

    name: str
    case: Case
    dtype: torch.dtype
    options: argparse.Namespace
    inputs: list[Tensor] = field(default_factory=list)

    def ways(self) -> dict[str, Attend]:
        """Who takes part."""
        seen_qk = self.case.seen_qk.to(self.options.device)
        ways = {"dense": attention_peers.dense(seen_qk), "unmasked": attention_peers.dense(None)}
        if self.case.causal:
            ways["causal"] = attention_peers.causal
        if self.options.device == "cpu":
            ways["ours"] = attention_peers.sparse(self.name, self.case)
        else:
            ways["ours"] = attention_peers.kernel(self.options.kernel, self.name, self.case)
        if self.options.flex and not (self.options.backward and self.options.device == "cpu"):
            for side in (64, 128):
                ways[f"flex {side}"] = attention_peers.flex(seen_qk, side)
        return ways

    def run(self, attend: Attend, inputs: list[Tensor]) -> list[Tensor]:
        """The output; and the gradients where those are asked for."""
        if not self.options.backward:
            with torch.no_grad():
                return [attend(*inputs)]
        leaves = [x.detach().requires_grad_() for x in inputs]
        y = attend(*leaves)
        return [y.detach(), *torch.autograd.grad(y, leaves, inputs[0])]

    def seconds(self, attend: Attend, calls: int) -> float:
        """Of one call, from so many."""
        if self.options.device == "cuda":
            start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            for _ in range(calls):
                self.run(attend, self.inputs)
            stop.record()
            torch.cuda.synchronize()
            return float(start.elapsed_time(stop)) / 1e3 / calls
        begin = time.process_time()
        for _ in range(calls):
            self.run(attend, self.inputs)
        return (time.process_time() - begin) / calls

    def check(self, ways: dict[str, Attend]) -> None:
        """Refuse wrong outputs and gradients."""
        expected = self.run(ways["dense"], [x.double() for x in self.inputs])
        for who in sorted(set(ways) - {"unmasked"}):
            for x, truth in zip(self.run(ways[who], self.inputs), expected, strict=True):
                error = float((x.double() - truth).norm() / truth.norm())
                if not error <= TOLERANCE[x.dtype]:
                    text = f"{who}, {self.name}: relative error {error:.1e}: no speed is shown"
                    raise SystemExit(text)

    def measured(self) -> dict[str, float]:
        """Median seconds by who took part, their outputs checked."""
        ways = self.ways()
        self.check(ways)
        calls = max(1, int(LEAST / max(self.seconds(ways["dense"], 1), 1e-5)))
        measures = {who: (lambda way=way: self.seconds(way, calls)) for who, way in ways.items()}
        timings = measure.alternate(measures, self.options.rounds)
        return {who: statistics.median(times) for who, times in timings.items()}


def settings(options: argparse.Namespace, length: int) -> Iterator[Setting]:
    """The rows of a length."""
    for name in options.masks:
        case = MASKS[name](length)
        queries, keys = case.seen_qk.shape
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


def row(setting: Setting) -> tuple[str, float, float]:
    """A line of the table, and its ratios: to dense, and to dense without a mask x density."""
    median = setting.measured()
    density = float(setting.case.seen_qk.float().mean())
    mine = median["ours"]
    dense = min(median["dense"], median.get("causal", median["dense"]))
    ratios = dense / mine, median["unmasked"] * density / mine
    way = ""
    if setting.options.device == "cpu":
        choice = setting.case, setting.inputs, setting.options.backward
        way = "dense" if attention_peers.is_dense(*choice) else "sparse"
    line = f"| {setting.name} | {density:.3f} | {way} | {mine * 1e3:.2f} | {dense * 1e3:.2f}"
    line += f" | {ratios[0]:.2f} | {ratios[1]:.2f} |"
    flex = [seconds for who, seconds in median.items() if who.startswith("flex")]
    if flex:
        line += f" {min(flex) * 1e3:.2f} | {min(flex) / mine:.2f} |"
    return line, ratios[0], ratios[1]


def heading(options: argparse.Namespace) -> str:
    """What was measured, on what, and the head of the table."""
    what = "forward + backward" if options.backward else "forward"
    columns = [
        "mask",
        "length",
        "dtype",
        "density",
        "way",
        "ours ms",
        "dense ms",
        "x dense",
        "of ideal",
    ]
    if options.flex and not (options.backward and options.device == "cpu"):
        columns += ["flex ms", "x flex"]
    return "\n".join(
        [
            f"**{what}**: batch 1, {options.heads} heads of {options.width}, median of"
            f" {options.rounds} turns, {DEVICES[options.device]}; {attention_peers.machine()}",
            "",
            f"| {' | '.join(columns)} |",
            "|---" * len(columns) + "|",
        ]
    )


def summary(ratios: list[tuple[str, float, float]]) -> str:
    """What was below the bars."""
    slower = [f"{name} ({ratio:.2f})" for name, ratio, _ in ratios if ratio < 1]
    short = [f"{name} ({ideal:.2f})" for name, _, ideal in ratios if ideal < 0.6]
    return "\n".join(
        [
            "",
            f"Slower than dense: {len(slower)} of {len(ratios)}. {'; '.join(slower)}".rstrip(),
            "",
            f"Below 0.6 of ideal: {len(short)} of {len(ratios)}. {'; '.join(short)}".rstrip(),
            "",
        ]
    )


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
    parser.add_argument("--kernel", help="CUDA: MODULE:FUNCTION, a case -> its attention")
    parser.add_argument("--write", type=Path, help="a file that the tables are added to")
    options = parser.parse_args()
    if options.device == "cuda" and not options.kernel:
        parser.error("--device cuda needs --kernel")
    return options


def main() -> None:
    """Measure what the options ask for and print a table."""
    options = parsed()
    torch.set_num_threads(1)
    lines = [heading(options)]
    print(lines[0], flush=True)
    ratios: list[tuple[str, float, float]] = []
    for length in options.lengths:
        for setting in settings(options, length):
            line, beside_dense, of_ideal = row(setting)
            ratios.append((setting.name.replace(" | ", " "), beside_dense, of_ideal))
            lines.append(line)
            print(line, flush=True)
    lines.append(summary(ratios))
    print(lines[-1])
    if options.write:
        with options.write.open("a") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
