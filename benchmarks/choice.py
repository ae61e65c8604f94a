"""Whether attention takes the faster way: tiles or dense, beside what the machine's prices choose.

Both ways are forced in turn (MMSPEC_TILES=1 and 0), by process CPU time and one thread, and their
outputs compared. *Auto / better*: the way that is chosen unforced beside the faster of the two; to
hold: at most 1.05 in the median. `--write FILE` keeps the table.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import attention_peers
import measure
import torch
from torch import Tensor

from mmspec.compiler.load_pattern import install
from mmspec.compiler.relations.meaning.geometry import line
from mmspec.compiler.relations.meaning.sequence import SequenceMask, Side
from mmspec.compiler.runtime import pace
from mmspec.compiler.runtime.sparse import sparse_attention
from mmspec.compiler.runtime.sparse_plan import chosen
from mmspec.expressions.mask import parse

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
MASKS = {
    "causal": "causal & block(size={0})",
    "prefix of a half": "causal | prefix(length={0//2})",
    "halves and global": "block(size={0//2}) | global(count={0//16})",
    "window of an eighth": "window(before={0//8})",
    "window of a quarter": "window(before={0//4})",
    "window of a half": "window(before={0//2})",
    "both sides, a quarter": "window(before={0//4}, after={0//4})",
    "both sides, a half": "window(before={0//2}, after={0//2})",
    "later or near": "~causal | window(before={0//2})",
    "every fourth": "dilated(step=4, reach={0//2})",
}
"""In the language of the specs; `{0//2}` is half the length."""
LEAST = 0.02
"""Seconds of a turn, at least about."""
BAR = 1.05
_NUMBERS = itertools.count()


def written(text: str, length: int) -> str:
    """A mask at a length."""
    for share in (16, 8, 4, 2):
        text = text.replace(f"{{0//{share}}}", str(length // share))
    return text.replace("{0}", str(length))


@dataclass(frozen=True)
class Setting:
    """What a row of the table is measured of."""

    mask: str
    length: int
    dtype: str
    heads: int
    width: int
    training: bool

    @cached_property
    def pattern(self) -> str:
        """The name of its pattern, which is new."""
        name = f"choice_{next(_NUMBERS)}"
        side, mask = Side("x", line("n_x"), "n_x", None), parse(written(self.mask, self.length))
        install(name, SequenceMask((side,), (side,), (("x", "x", mask),), frozenset()))
        return name

    @cached_property
    def inputs(self) -> list[Tensor]:
        """Queries, keys, values, and the gradient of the output."""
        torch.manual_seed(0)
        shape = 1, self.heads, self.length, self.width
        return [torch.randn(shape).to(DTYPES[self.dtype]) for _ in range(4)]

    @property
    def way(self) -> str:
        """What is chosen where nothing is forced."""
        sizes = self.heads, self.length, self.length, self.width
        prices = pace.paced(self.inputs[:2], self.training)
        return "dense" if chosen(self.pattern, (self.length,), sizes, *prices).dense else "tiles"

    def run(self) -> list[Tensor]:
        """The output; and the gradients of a training step."""
        q, k, v, g = self.inputs
        if not self.training:
            with torch.no_grad():
                return [sparse_attention(q, k, v, (self.pattern, (self.length,)))]
        leaves = [x.detach().requires_grad_() for x in (q, k, v)]
        y = sparse_attention(leaves[0], leaves[1], leaves[2], (self.pattern, (self.length,)))
        return [y.detach(), *torch.autograd.grad(y, leaves, g)]

    def seconds(self, way: str, calls: int) -> float:
        """Of one call, from so many, by a way."""
        os.environ["MMSPEC_TILES"] = {"tiles": "1", "dense": "0"}[way]
        try:
            begin = time.process_time()
            for _ in range(calls):
                self.run()
            return (time.process_time() - begin) / calls
        finally:
            del os.environ["MMSPEC_TILES"]

    def agree(self) -> None:
        """Both ways compute the same."""
        results = []
        for value in ("1", "0"):
            os.environ["MMSPEC_TILES"] = value
            results.append(self.run())
        del os.environ["MMSPEC_TILES"]
        for x, y in zip(*results, strict=True):
            apart = float((x.float() - y.float()).norm() / y.float().norm())
            if not apart < (1e-5 if self.dtype == "fp32" else 3e-2):
                raise SystemExit(f"{self.mask} {self.length}: no speed is shown, {apart:.1e} apart")

    def measured(self, rounds: int) -> dict[str, float]:
        """Median seconds by way."""
        self.agree()
        calls = max(1, int(LEAST / max(self.seconds("tiles", 1), 1e-5)))
        measures: dict[str, Callable[[], float]] = {
            way: partial(self.seconds, way, calls) for way in ("tiles", "dense")
        }
        timings = measure.alternate(measures, rounds)
        return {way: statistics.median(times) for way, times in timings.items()}


def settings(options: argparse.Namespace) -> Iterator[tuple[str, Setting]]:
    """The rows, with the name of their mask."""
    for length, (name, text), dtype, training in itertools.product(
        options.lengths, MASKS.items(), options.dtypes, (False, True)
    ):
        yield name, Setting(text, length, dtype, options.heads, options.width, training)


def main() -> None:
    """Measure all and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lengths", nargs="+", type=int, default=[256, 512, 1024, 2048, 4096])
    parser.add_argument("--dtypes", nargs="+", default=list(DTYPES), choices=list(DTYPES))
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", type=Path, help="a file that the table is added to")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines: list[str] = []

    def say(text: str) -> None:
        lines.append(text)
        print(text, flush=True)

    say(
        f"**tiles or dense**: batch 1, {options.heads} heads of {options.width}, median of"
        f" {options.rounds} turns, CPU time of the process, one thread; {attention_peers.machine()}"
    )
    columns = "mask", "length", "dtype", "what", "tiles ms", "dense ms", "auto", "auto / better"
    say(f"\n| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    ratios = []
    for name, setting in settings(options):
        seconds = setting.measured(options.rounds)
        ratios.append(seconds[setting.way] / min(seconds.values()))
        what = "forward + backward" if setting.training else "forward"
        cells = name, setting.length, setting.dtype, what
        times = (f"{seconds[way] * 1e3:.2f}" for way in ("tiles", "dense"))
        say(f"| {' | '.join(map(str, (*cells, *times, setting.way)))} | {ratios[-1]:.2f} |")
    prices = {"bf16" if half else "fp32": tuple(price) for half, price in pace.KNOWN.items()}
    worse = sum(ratio > BAR for ratio in ratios)
    say(
        f"\nAuto beside the better way: median {statistics.median(ratios):.3f}, most"
        f" {max(ratios):.2f}; above {BAR}: {worse} of {len(ratios)}.\nBy these prices of dense"
        f" attention, forward and in training: {prices}.\n"
    )
    if options.write:
        with options.write.open("a") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
