"""Import lines, merged and sorted as ruff's isort rules want them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable

from mmspec.compiler.specialise.unparse import LIMIT


def import_block(lines: Iterable[str]) -> str:
    """One block of import statements from lines that import one name each."""
    sections: dict[int, list[str]] = {}
    plain = sorted({line for line in lines if line.startswith("import ")})
    found: dict[str, set[str]] = {}
    for line in lines:
        match = re.fullmatch(r"from (\S+) import (.+)", line)
        if match:
            found.setdefault(match[1], set()).update(match[2].split(", "))
    for line in plain:
        sections.setdefault(_section(line), []).append(line)
    for module in sorted(found):
        names = sorted(found[module], key=_order)
        line = f"from {module} import {', '.join(names)}"
        if len(line) > LIMIT:
            line = "\n".join([f"from {module} import (", *(f"    {n}," for n in names), ")"])
        sections.setdefault(_section(module), []).append(line)
    return "\n\n".join("\n".join(sections[key]) for key in sorted(sections))


def _section(line: str) -> int:
    """The standard library, what is installed, the package itself."""
    if line.startswith((".", "from .")):
        return 2
    top = line.removeprefix("import ").split(" ")[0].split(".")[0]
    return 0 if top in sys.stdlib_module_names else 1


def _order(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest."""
    if name.isupper() and len(name) > 1:
        return 0, name.lower()
    return (1, name) if name[0].isupper() else (2, name)
