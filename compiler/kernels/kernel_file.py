"""The text of a package's kernels.py: the kernels of all its masks, each once, and their table."""

from __future__ import annotations

from typing import Final

from mmspec.compiler.kernels import tabled
from mmspec.compiler.kernels.kernel_mask import Mask
from mmspec.compiler.kernels.triton_source import source
from mmspec.compiler.specialise.unrepeated import Unrepeated

_FILE: Final = """{header}
# mypy: ignore-errors

from __future__ import annotations

{partial}import triton
import triton.language as tl

from .runtime.launch import Kernels
{tables}from .runtime.tiles import {used}


{body}


KERNELS = {{
{table}}}
"""


def module(header: str, masks: list[Mask]) -> str:
    """The text of a package's kernels.py."""
    once = Unrepeated()
    texts = once.sources(text for mask in masks for text in source(mask))
    body = "\n\n\n".join(text.rstrip() for text in texts)
    table, again = _table(masks, once)
    known = ("behind", "pull", "push", "read", "rows", "settle", "write")
    used = ", ".join(name for name in known if f" {name}(" in body)
    drawn = any(map(tabled.draws, masks))
    partial = "from functools import partial\n\n" * drawn
    tables = "from .runtime.tables import Draw, lists\n" * drawn
    imports = {"partial": partial, "tables": tables, "used": used}
    return _FILE.format(header=header.rstrip(), body=body, table=table, **imports) + again


def _table(masks: list[Mask], once: Unrepeated) -> tuple[str, str]:
    """Lines of the table of kernels, and statements after it: masks with those of others."""
    names: dict[str, str] = {}
    found, again = "", ""
    for mask in masks:
        head, _, entry = once.told(_entry(mask)).partition("\n")
        first = names.setdefault(entry, mask.name)
        if first == mask.name:
            found += f"{head}\n{entry}"
        else:
            again += f'KERNELS["{mask.name}"] = KERNELS["{first}"]\n'
    return found, again


def _entry(mask: Mask) -> str:
    """Its lines in the table of kernels."""
    given = [f"{mask.name}_{end}" for end in ("forward", "backward_q", "backward_k")]
    given += [f"tiles={mask.name}_tiles", f"keys={mask.positions(mask.sequence.keys)}"]
    given += [f"warps={mask.warps}", *tabled.entry(mask), *["relative=True"] * bool(mask.lines)]
    lines = [f'    "{mask.name}": Kernels(', *(f"        {x}," for x in given), "    ),"]
    return "\n".join(lines) + "\n"
