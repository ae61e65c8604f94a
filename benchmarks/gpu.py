"""All that is measured on a GPU, in one command of less than ten minutes.

    python benchmarks/gpu.py

For each mask kernels are compiled from its relation and held to float64; then ours, dense SDPA
and FlexAttention (its block mask made before, and in each step) take turns, forward and forward +
backward; then what schedules cost at 1,048,576 tokens. What the time does not allow is left out
and named. The tables go to benchmarks/results/attention-<GPU>.md.

`--dry`: the same path at a tiny length on a CPU, TRITON_INTERPRET=1 set, with no speed shown.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import attention
import attention_check
import attention_peers
import attention_schedule
import torch
from attention import DTYPES, Row, Setting
from attention_masks import MASKS, Case
from measure import ROOT

TILE = 64
COLUMNS = (
    "mask",
    "what",
    "density",
    "ours ms",
    "dense ms",
    "flex ms",
    "flex + build ms",
    "x dense",
    "x flex",
    "x flex + build",
    "rate on tiles of dense",
)
BARS = (
    ("FlexAttention forward, masks reused", "forward", "x flex", 1.3),
    ("FlexAttention forward + backward, masks reused", "forward + backward", "x flex", 1.2),
    ("FlexAttention forward, a mask in each step", "forward", "x flex + build", 5.0),
    ("dense SDPA's FLOP rate, on visible tiles", "forward", "rate on tiles of dense", 0.7),
)
"""What is to be reached, by a geometric mean over the masks."""


def tile_density(case: Case) -> float:
    """Of tiles of 64 x 64 tokens, as they come, with a visible pair."""
    queries, keys = case.tokens
    columns = -(-keys // TILE)
    seen = torch.zeros((), dtype=torch.int64, device=case.device)
    for start in range(0, queries, TILE):
        rows = torch.arange(start, min(start + TILE, queries), device=case.device)
        any_k = torch.nn.functional.pad(case.rows(rows).any(0), (0, columns * TILE - keys))
        seen += any_k.view(columns, TILE).any(1).sum()
    return int(seen) / (-(-queries // TILE) * columns)


@dataclass
class Session:
    """One run: its options, the lines written so far, and figures by what they are of."""

    options: argparse.Namespace
    lines: list[str] = field(default_factory=list)
    ratios: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    begin: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """Print and keep a line."""
        self.lines.append(text)
        print(text, flush=True)

    @property
    def late(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() - self.begin > 60 * float(self.options.minutes)

    def settings(self, length: int, width: int) -> Iterator[Setting]:
        """Forward and forward + backward of each mask."""
        dtype = DTYPES[self.options.dtype]
        for name in self.options.masks:
            case = MASKS[name](length).on(self.options.device)
            torch.manual_seed(0)
            tokens = case.tokens[0], *case.tokens[1:] * 2
            shapes = [(1, self.options.heads, count, width) for count in tokens]
            inputs = [torch.randn(shape).to(self.options.device, dtype) for shape in shapes]
            for backward in (False, True):
                given = argparse.Namespace(**vars(self.options), backward=backward)
                yield Setting(name, case, dtype, given, inputs)

    def table(self, length: int, width: int) -> None:
        """Of one length and head width."""
        options = self.options
        self.say(
            f"\n**{length:,} tokens**, {options.heads} heads of {width}, {options.dtype}, median of"
            f" {options.rounds} turns\n"
        )
        self.say(f"| {' | '.join(COLUMNS)} |")
        self.say("|---" * len(COLUMNS) + "|")
        for setting in self.settings(length, width):
            what = "forward + backward" if setting.options.backward else "forward"
            if self.late:
                self.left_out.append(f"{setting.name} {length} {width} {what}: no time was left")
                continue
            self.say(f"| {' | '.join(self.cells(setting, what))} |")

    def cells(self, setting: Setting, what: str) -> list[str]:
        """A line of a table; a way that is wrong or fails is named instead of timed."""
        ways = setting.ways()
        wrong = setting.wrong(ways)
        for who, error in wrong.items():
            self.left_out.append(f"{setting.name} {what}, {who}: relative error {error:.1e}")
        if "ours" in wrong:
            return [setting.name, what, *["wrong"] * (len(COLUMNS) - 2)]
        for who in wrong:
            del ways[who]
        found = self.figures(Row(setting, {} if setting.options.dry else setting.timed(ways)))
        for name, figure in found.items():
            if name.startswith(("x ", "rate")) and figure is not None:
                self.ratios.setdefault((what, name), []).append(figure)
        shown = [
            "" if found[name] is None else f"{found[name]:.3g}" for name in COLUMNS if name in found
        ]
        return [setting.name, what, *shown]

    def figures(self, row: Row) -> dict[str, float | None]:
        """By column; none where nothing was timed."""
        case = row.setting.case
        known: dict[str, float | None] = dict.fromkeys(COLUMNS[3:])
        if row.seconds:
            flex, build = row.best("flex"), row.best("build")
            known |= {"x dense": row.times(row.dense), "x flex": row.times(flex)}
            known["x flex + build"] = row.times_anew(build)
            times = row.seconds["ours"], row.dense, flex, build
            for name, seconds in zip(COLUMNS[3:7], times, strict=True):
                known[name] = None if seconds is None else seconds * 1e3
            whole = row.times(row.seconds["unmasked"])
            assert whole is not None
            known[COLUMNS[-1]] = whole * tile_density(case)
        return {"density": case.density, **known}

    def means(self) -> None:
        """Geometric means over masks, beside what they are to be."""
        self.say("\n| geometric mean beside | reached | to reach | masks |\n|---|---|---|---|")
        for told, what, name, bar in BARS:
            found = self.ratios.get((what, name), [])
            mean = f"{statistics.geometric_mean(found):.2f}" if found else "not measured"
            self.say(f"| {told} | {mean} | {bar} | {len(found)} |")

    def finish(self) -> None:
        """What was left out, and the file."""
        if self.left_out:
            self.say("\nLeft out:")
            for text in dict.fromkeys(self.left_out):
                self.say(f"- {text}")
        path: Path = self.options.write
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(self.lines) + "\n")


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--dry", action="store_true", help="on a CPU, tiny, no speed shown")
    parser.add_argument("--masks", nargs="+", default=list(MASKS), choices=list(MASKS))
    parser.add_argument("--lengths", nargs="+", type=int)
    parser.add_argument("--widths", nargs="+", type=int)
    parser.add_argument("--heads", type=int)
    parser.add_argument("--dtype", choices=list(DTYPES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=9.0, help="after which no more is begun")
    parser.add_argument("--write", type=Path, help="the file of the tables")
    options = parser.parse_args(arguments)
    options.kernels, options.flex = True, True
    options.device = "cpu" if options.dry else "cuda"
    options.dtype = options.dtype or ("fp32" if options.dry else "bf16")
    options.heads = options.heads or (1 if options.dry else 16)
    options.widths = options.widths or ([16] if options.dry else [64, 128])
    options.lengths = options.lengths or ([256] if options.dry else [16384, 4096, 65536])
    name = "dry" if options.dry else torch.cuda.get_device_name()
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    options.write = options.write or ROOT / "benchmarks" / "results" / f"attention-{slug}.md"
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all and write it down."""
    options = parsed(arguments)
    if options.dry and os.environ.get("TRITON_INTERPRET") != "1":
        raise SystemExit("--dry runs kernels on a CPU: set TRITON_INTERPRET=1")
    torch.set_num_threads(1)
    session = Session(options)
    session.say(f"# Attention on {attention_peers.machine()}\n")
    allowed = f"{attention_check.TOLERANCE[DTYPES[options.dtype]]:.0e}"
    session.say(
        f"Written by `python benchmarks/gpu.py`. Batch 1; {attention.DEVICES['cuda']}; outputs and"
        f" gradients of up to 256 queries are within {allowed} of float64, relative. Tiles are of"
        " 64 x 64 tokens as they come."
    )
    for width in options.widths:
        for length in options.lengths:
            session.table(length, width)
    session.means()
    if not options.dry:
        session.say("")
        for line in attention_schedule.table_lines(options.masks, device=options.device):
            session.say(line)
    session.finish()


if __name__ == "__main__":
    main()
