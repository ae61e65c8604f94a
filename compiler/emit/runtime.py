"""The folder `runtime/` of a package: the same for every model but for names of operators."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from mmspec import private
from mmspec.compiler import runtime

FOLDER: Final = "runtime"
"""Of the package, in which all of it lies."""

_SPARSE: Final = (
    "sparse",
    "operators",
    "sparse_pattern",
    "sparse_plan",
    "sparse_parts",
    "sparse_groups",
    "sparse_calls",
    "sparse_views",
    "sparse_scores",
    "sinks",
    "native",
    "native_build",
    "native.cpp",
    "private",
    "pace",
    "launch",
    "tuning",
    "tiles",
)

FILES: Final = {
    "grouped": ("grouped", "operators"),
    "sparse": _SPARSE,
    "sinks": ("sinks",),
    "scored": ("scored", *_SPARSE),
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
    """Names that specialised parts import from such a module -> the module in the package."""
    found = ((_IMPORT.match(line), line) for line in imports)
    return {
        name: f"{FOLDER}.{match[1]}"
        for match, line in found
        if match and match[1] in FILES
        for name in line.rpartition("import ")[2].split(", ")
    }


def files(modules: Iterable[str], using: str) -> dict[str, str]:
    """Their texts by the package's files; operators are in a namespace of the package's own.

    using: the source that uses them, which the namespace stands for: patterns go by their names.
    """
    digest = hashlib.sha256(using.encode()).hexdigest()[:8]
    names = [module.removeprefix(f"{FOLDER}.") for module in modules]
    found = dict.fromkeys(file for name in names for file in FILES[name])
    texts = {f"{FOLDER}/{_file(name)}": _text(name, digest) for name in found}
    return {f"{FOLDER}/__init__.py": _text("__init__", digest), **texts} if texts else {}


def _file(name: str) -> str:
    return name if "." in name else f"{name}.py"


def _text(name: str, digest: str) -> str:
    """What the package has of a file of the runtime."""
    own = private if name == "private" else runtime
    assert own.__file__ is not None
    path = Path(own.__file__)
    text = path.with_name(_file(name)).read_text(encoding="utf-8")
    text = text.replace('"mmspec::', f'"mmspec_{digest}::')
    text = _MODULES.sub(_beside, text)
    return _IMPORT.sub(r"from .\1 import", text)


def _beside(imports: re.Match[str]) -> str:
    """Imports of modules as they are in a package, in one line."""
    names = (line.partition(" import ")[2].split(", ") for line in imports[0].splitlines())
    return f"from . import {', '.join(sorted(name for some in names for name in some))}\n"
