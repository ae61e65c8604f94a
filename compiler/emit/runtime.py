"""Files of an emitted package that hold operators: the same for every model but for their names."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from mmspec import private
from mmspec.compiler import runtime
from mmspec.compiler.emit.model import unexecuted

FILES: Final = {
    "grouped": ("grouped", "operators"),
    "sparse": (
        "sparse",
        "operators",
        "sparse_pattern",
        "sparse_plan",
        "sparse_parts",
        "sparse_groups",
        "sparse_calls",
        "sparse_views",
        "native",
        "native_build",
        "native.cpp",
        "private",
        "pace",
        "launch",
        "tuning",
        "tiles",
    ),
    "tables": ("tables",),
}
"""Files of `compiler/runtime` that go into a package whole, by the module that its parts import.

`private` is the one that all of mmspec uses.
"""

_IMPORT: Final = re.compile(r"from mmspec\.compiler\.runtime\.(\w+) import")
_MODULES: Final = re.compile(
    r"(?:^from mmspec(?:\.compiler\.runtime)? import [\w, ]+\n)+", re.MULTILINE
)


def needed(imports: Iterable[str]) -> dict[str, str]:
    """Names that specialised parts import from such a module -> the module."""
    found = ((_IMPORT.match(line), line) for line in imports)
    return {
        name: match[1]
        for match, line in found
        if match and match[1] in FILES
        for name in line.rpartition("import ")[2].split(", ")
    }


def files(modules: Iterable[str], name: str, using: str) -> dict[str, str]:
    """Their texts by file name; operators are in a namespace of the package's own.

    using: the source that uses them, which the namespace stands for: patterns go by their names.
    """
    digest = hashlib.sha256(using.encode()).hexdigest()[:8]
    found = {}
    for module in dict.fromkeys(file for one in modules for file in FILES[one]):
        if "." in module:
            found[module] = (Path(runtime.__file__).parent / module).read_text(encoding="utf-8")
            continue
        own = private if module == "private" else unexecuted(f"runtime.{module}")
        text = inspect.getsource(own)
        text = text.replace('"mmspec::', f'"mmspec_{digest}::')
        text = _MODULES.sub(_beside, text)
        found[f"{module}.py"] = _IMPORT.sub(r"from .\1 import", text)
    return found


def _beside(imports: re.Match[str]) -> str:
    """Imports of modules as they are in a package, in one line."""
    names = (line.partition(" import ")[2].split(", ") for line in imports[0].splitlines())
    return f"from . import {', '.join(sorted(name for some in names for name in some))}\n"
