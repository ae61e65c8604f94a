"""Faults of the ways that attention by tiles may go: loops, plans, calls and kernels."""

from __future__ import annotations

from mmspec.verify.faults.fault import Fault, source
from mmspec.verify.faults.specs import NEARBY

_RUNTIME = "runtime/"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "tile-taken-whole",
        "a tile that is partly hidden is taken as a whole",
        NEARBY,
        ("P8", "P19"),
        source((r"(yield i, min\(.*), False\n", r"\1, True\n"), file="model.py"),
    ),
    Fault(
        "tiles-one-late",
        "the loop over tiles of keys starts one late",
        NEARBY,
        ("P8", "P19"),
        source((r"max\(0, i - 3\)", "max(0, i - 2)"), file="model.py"),
    ),
    Fault(
        "parts-merged-by-the-larger",
        "the log-sum-exp of two parts is the larger of both",
        NEARBY,
        ("P19",),
        source(
            (r"torch\.logaddexp\(total, total_of\)", "torch.maximum(total, total_of)"),
            file=f"{_RUNTIME}sparse_views.py",
        ),
    ),
    Fault(
        "gradient-without-scale",
        "calls of the backward kernel take no scale",
        NEARBY,
        ("P8",),
        source(
            (r"scale=scores\.scale,(\n\s+\)\n\s+queries_of\(sums)", r"scale=1.0,\1"),
            file=f"{_RUNTIME}sparse.py",
        ),
    ),
    Fault(
        "parts-weighed-by-scores",
        "parts are weighed by their log-sum-exp, not by its power",
        NEARBY,
        ("P12", "P19"),
        source(
            (r"torch\.sigmoid\(total_of - total\)", "total_of / (total_of + total)"),
            file=f"{_RUNTIME}sparse_views.py",
        ),
    ),
    Fault(
        "bits-of-other-keys",
        "native code is told of the first keys who sees them, not of those that it reads",
        NEARBY,
        ("P8", "P19"),
        source((r"bits_k\[column\]", "bits_k[: len(column)]"), file=f"{_RUNTIME}sparse_groups.py"),
    ),
    Fault(
        "padding-gets-gradients",
        "the backward does not know which keys are padded",
        NEARBY,
        ("P7",),
        source(
            (r"_picked\(tensors, valid_bk, samples\)", "_picked(tensors, None, samples)"),
            file=f"{_RUNTIME}sparse.py",
        ),
    ),
    Fault(
        "room-for-results-shared",
        "results of one size share their memory",
        NEARBY,
        ("P24",),
        source(
            (r"def result_like", "_ROOM: dict = {}\n\n\ndef result_like"),
            (
                r"return (x_bhtw\.new_empty\(\((.*?)\), dtype=dtype\))\.transpose",
                r"return _ROOM.setdefault((\2, dtype), \1).transpose",
            ),
            file=f"{_RUNTIME}sparse_views.py",
        ),
    ),
    Fault(
        "kernel-largest-starts-at-0",
        "in the kernels the largest score so far starts at 0",
        NEARBY,
        ("P8",),
        source((r"-1\.0e30, tl\.float32", "0.0, tl.float32"), file="kernels.py"),
    ),
    Fault(
        "kernel-sum-in-base-2",
        "kernels keep the log-sum-exp in base 2, and read it as a natural one",
        NEARBY,
        ("P8",),
        source((r"tl\.log2\(total_q\)\) \* LN_2", "tl.log2(total_q))"), file=f"{_RUNTIME}tiles.py"),
    ),
    Fault(
        "kernel-queries-one-late",
        "the gradients of keys miss the first tile of queries",
        NEARBY,
        ("P8",),
        source(
            (r"tl\.range\(max\(0, 4 \* j - 2\)", "tl.range(max(0, 4 * j - 1)"), file="kernels.py"
        ),
    ),
    Fault(
        "kernel-columns-past-the-width",
        "kernels read columns past the width of a head",
        NEARBY,
        ("P23",),
        source(
            (r"exists & \(column < WIDTH\), other=0\.0", "exists, other=0.0"),
            file=f"{_RUNTIME}tiles.py",
        ),
    ),
    Fault(
        "kernel-takes-rows-as-they-lie",
        "kernels take it that the numbers of a token lie side by side",
        NEARBY,
        ("P20",),
        source(
            (r"return x if x\.stride\(-1\) == 1 else x\.contiguous\(\)", "return x"),
            file=f"{_RUNTIME}launch.py",
        ),
    ),
)
