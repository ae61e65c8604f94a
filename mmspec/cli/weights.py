"""Map a checkpoint of transformers onto a spec's model, or a trained model back.

    mmspec weights specs/published/llama3_8b.yaml Meta-Llama-3-8B --out llama.safetensors
    mmspec weights vit.yaml runs/vit --to transformers --out model.safetensors

A checkpoint is a folder, a .safetensors file, or the index of several; pickles are not read.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mmspec.cli import exits, output, waiting, writable

if TYPE_CHECKING:
    from mmspec.weights.carry import Carried, Match

NAME: Final = "weights"
SUMMARY: Final = "a checkpoint's weights for a spec's model, and back"
_MOST: Final = 12
"""Names of what is left over that are shown."""


def options(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("spec", metavar="SPEC", help="a spec file")
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        help="a folder, a .safetensors file, or an index",
    )
    parser.add_argument(
        "--family",
        metavar="TYPE",
        help="its model_type (default: by config.json, or by its names)",
    )
    parser.add_argument(
        "--leave",
        metavar="NAME",
        action="append",
        default=[],
        help="a weight or module, on either side, that may be left over; repeatable",
    )
    parser.add_argument("--out", metavar="FILE", help="write the weights there, as safetensors")
    parser.add_argument(
        "--to",
        choices=("mmspec", "transformers"),
        default="mmspec",
        help="whose names are written (default: mmspec)",
    )
    parser.add_argument("--json", action="store_true", help="print what matched as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print what matched and what is left over; write the file where nothing unnamed is."""
    from mmspec import api

    out = Path(arguments.out) if arguments.out else None
    if out is not None:
        writable.check_file(out)
    spec = api.read(arguments.spec)
    with waiting.shown(f"looking at {arguments.checkpoint}"):
        from mmspec.weights import files
        from mmspec.weights.carry import carry

        held = files.opened(arguments.checkpoint)
        ours = arguments.to == "transformers"
        found = carry(spec, held, None if ours else arguments.family, arguments.leave)
    if arguments.json:
        output.machine(_told(found))
    else:
        print(*_lines(found), sep="\n")
    if not found.is_whole:
        if out is not None:
            output.note(f"{out} was not written: `--leave NAME` says what may be left over")
        return exits.PROBLEMS
    if out is not None:
        with waiting.shown(f"writing {out}"):
            writable.write(out, _content(found, arguments))
        if not arguments.json:
            print(f"wrote {out}")
    return exits.FINE


def _content(found: Carried, arguments: argparse.Namespace) -> bytes:
    """The file."""
    from mmspec.weights import stamp
    from mmspec.weights.carry import back

    state = found.state()
    if arguments.to == "mmspec":
        return stamp.packed(state, found.spec)
    return stamp.foreign(back(found.spec, state, arguments.family))


def _told(found: Carried) -> dict[str, Any]:
    return {
        "family": found.family,
        "matched": {one.name: one.there for one in found.matches},
        "missing": found.missing,
        "left_over": found.over,
        "copies": found.copies,
        "left": found.left,
    }


def _lines(found: Carried) -> Iterator[str]:
    """What matched, equal layers in one row, and what did not."""
    held = found.checkpoint.held.values()
    types = ", ".join(dict.fromkeys(each.dtype for each in held))
    who = f"{found.family}: " if found.family else "written by mmspec: "
    files = output.plural(found.checkpoint.files, "file")
    yield f"{who}{output.plural(len(held), 'tensor')} ({types}) in {files}"
    if found.family:
        yield from ("", *_table(("here", "shape", "layers", "there"), *_rows(found)))
    count, numbers = len(found.matches), sum(one.shape.numel() for one in found.matches)
    here = [name for name in found.left if name not in found.checkpoint.held]
    wanted = count + len(found.missing) + len(here)
    yield from ("", f"{count:,} of {wanted:,} weights matched, {numbers:,} numbers")
    yield from _listed("not in the checkpoint", found.missing)
    yield from _listed("not in the model", found.over)
    yield from _listed("says nothing new", found.copies)
    yield from _listed("left, as named", found.left)


def _table(*rows: tuple[str, str, str, str]) -> Iterator[str]:
    """Rows under a head, all columns to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for at, row in enumerate(rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        if not at:
            yield "  ".join("-" * width for width in widths)


def _rows(found: Carried) -> Iterator[tuple[str, str, str, str]]:
    """A row for each weight and its bias, of all layers that are alike."""
    alike: dict[str, list[Match]] = {}
    for one in found.matches:
        alike.setdefault(_plain(one.name), []).append(one)
    for name, ones in alike.items():
        module, _, kind = name.rpartition(".")
        if kind == "bias" and f"{module}.weight" in alike:
            continue
        more = " + bias" if kind == "weight" and f"{module}.bias" in alike else ""
        shape = " × ".join(map(str, ones[0].shape)) or "1"
        there = [_plain(each).removesuffix(".weight") for each in ones[0].there]
        layers = str(len(ones)) if "#" in name else ""
        yield name.removesuffix(".weight") + more, shape, layers, _braced(there)


def _plain(name: str) -> str:
    """A name with `#` for the number of a layer."""
    return re.sub(r"\.\d+\.", ".#.", name, count=1)


def _braced(names: list[str]) -> str:
    """`attn.{q,k,v}_proj`."""
    if len(names) == 1:
        return names[0]
    start = _shared(names)
    end = _shared([name[len(start) :][::-1] for name in names])[::-1]
    inside = ",".join(name[len(start) : len(name) - len(end)] for name in names)
    return f"{start}{{{inside}}}{end}"


def _shared(words: list[str]) -> str:
    """What all of them begin with."""
    letters = takewhile(lambda at: len(set(at)) == 1, zip(*words, strict=False))
    return "".join(each[0] for each in letters)


def _listed(what: str, names: Iterable[str]) -> Iterator[str]:
    """A line a name, equal layers once, no more than fit a screen."""
    counts: dict[str, int] = {}
    for name in names:
        counts[_plain(name)] = counts.get(_plain(name), 0) + 1
    if counts:
        yield f"{what}:"
        for name, count in [*counts.items()][:_MOST]:
            yield f"  {name}" + (f" ({count} layers)" if count > 1 else "")
        if len(counts) > _MOST:
            yield f"  and {len(counts) - _MOST:,} more"
