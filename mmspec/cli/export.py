"""Give a model away: a run's with its weights, or a spec's.

    mmspec export runs/gated --to onnx
    mmspec export gated.yaml --weights gated.safetensors --to pt2 --out gated.pt2

What comes out runs where mmspec is not. A spec without --weights has those that it begins with.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mmspec.cli import exits, output, waiting, writable

if TYPE_CHECKING:
    from mmspec.export.source import Source

NAME: Final = "export"
SUMMARY: Final = "a model as a program, an ONNX file or a folder that others open"
FORMS: Final = ("pt2", "onnx", "hf", "package")
_FOLDERS: Final = ("hf", "package")


def options(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("model", metavar="RUN|SPEC", help="the folder of a run, or a spec file")
    parser.add_argument(
        "--to",
        choices=FORMS,
        required=True,
        help="pt2 (torch.export), onnx, hf (for AutoModel of transformers) or package (source and "
        "weights)",
    )
    parser.add_argument(
        "-o", "--out", metavar="PATH", help="the file or folder (default: NAME.pt2, NAME-hf, ...)"
    )
    parser.add_argument("--weights", metavar="FILE", help="of a spec: a .safetensors file of its")


def run(arguments: argparse.Namespace) -> int:
    """Write it, say where, and how it is used."""
    from mmspec.export import source

    is_run = Path(arguments.model).is_dir()
    if is_run and arguments.weights:
        arguments.parser.error("argument --weights: a run has its own")
    if arguments.out:
        _check(Path(arguments.out), arguments.to)
    with waiting.shown(f"reading {arguments.model}", f"writing {arguments.to}"):
        found = source.source(arguments.model, arguments.weights)
        out = Path(arguments.out or _default(found.spec.name, arguments.to))
        _check(out, arguments.to)
    if found.state is None:
        output.note("the weights are those that training begins with: --weights names others")
    with waiting.shown(f"writing {out}"):
        told = _written(found, arguments.to, out)
    print(f"wrote {out}", *told, sep="\n")
    return exits.FINE


def _default(name: str, form: str) -> str:
    """Where it is written unless told."""
    return {"hf": f"{name}-hf", "package": f"{name}-package"}.get(form, f"{name}.{form}")


def _check(out: Path, form: str) -> None:
    if form in _FOLDERS:
        writable.check_folder(out)
    else:
        writable.check_file(out)


def _written(found: Source, form: str, out: Path) -> list[str]:
    """Write it; what its user does with it."""
    if form == "pt2":
        from mmspec.export import program, using

        writable.write(out, program.saved(found))
        return using.pt2(found, out.name)
    if form == "onnx":
        from mmspec.export import onnx_file, using

        writable.write(out, onnx_file.saved(found))
        return using.onnx(found, out.name)
    from mmspec.export import folders, using

    if form == "package":
        folders.package(found, out)
        return using.package(found, out)
    folders.transformers(found, out)
    return using.transformers(found, out)
