"""An emitted package as a module in memory, its source visible to tracebacks and `inspect`."""

from __future__ import annotations

import linecache
import sys
from functools import lru_cache
from importlib import import_module
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from mmspec.compiler.emit.package import Package

if TYPE_CHECKING:
    from torch import nn

RUNTIME = (
    *("operators", "grouped", "private", "tuning"),
    *("sparse_calls", "sparse_views", "sparse_scores", "sinks", "launch"),
    *("sparse_pattern", "sparse_parts", "sparse_groups"),
    *("native_build", "native", "pace", "sparse_plan", "tables", "sparse", "scored"),
)
ORDER = (
    *("runtime", *(f"runtime.{name}" for name in RUNTIME)),
    *("sizes", "inputs", "attention", "model", "decoding"),
)
"""Modules of a package, each after those it imports."""
SHARED = {
    "runtime.private": "mmspec.private",
    **{
        f"runtime.{name}": f"mmspec.compiler.runtime.{name}"
        for name in ("native_build", "native", "pace")
    },
}
"""The same in every package: a line is said once for all of them, and C++ is read from a file."""
ON_A_GPU = ("runtime.tiles", "kernels")
"""Those that need triton: they are loaded where there is a GPU."""


def load(package: Package) -> type[nn.Module]:
    """The model class of a package; a package of the same content is loaded once."""
    module = load_module(package)
    model: type[nn.Module] = getattr(module, package.class_name)
    return model


def load_module(package: Package) -> ModuleType:
    """The package as an imported module named after its name and content."""
    root = f"mmspec_compiled_{package.name}_{package.digest[:16]}"
    if root in sys.modules:
        return sys.modules[root]
    try:
        top = _module(root)
        for name in (*ORDER, *_for_gpu()):
            if _file(name) in package.files:
                _load(name, root, package)
        _execute(top, package.files["__init__.py"])
    except BaseException:
        for name in [name for name in sys.modules if name.split(".")[0] == root]:
            del sys.modules[name]
        raise
    return top


def _file(name: str) -> str:
    """Where the source of a module of a package is."""
    return "runtime/__init__.py" if name == "runtime" else f"{name.replace('.', '/')}.py"


def _for_gpu() -> tuple[str, ...]:
    import torch

    return ON_A_GPU if torch.cuda.is_available() else ()


def load_kernels(package: Package) -> None:
    """Load the Triton kernels of a package as well, where they were not; it has some."""
    root = load_module(package).__name__
    for name in ON_A_GPU:
        if f"{root}.{name}" not in sys.modules:
            _load(name, root, package)


def _load(name: str, root: str, package: Package) -> None:
    """Run one module of the package `root`."""
    if name in SHARED:
        sys.modules[f"{root}.{name}"] = import_module(SHARED[name])
        return
    _execute(_module(f"{root}.{name}"), package.files[_file(name)])


def _module(name: str) -> ModuleType:
    """A new module; that of the package and that of its `runtime/` are packages."""
    module = ModuleType(name)
    folder, _, file = name.rpartition(".")
    module.__package__ = folder
    if not folder or file == "runtime":
        module.__package__, module.__path__ = name, []
    module.__file__ = f"<mmspec {name}>"
    sys.modules[name] = module
    return module


def _execute(module: ModuleType, source: str) -> None:
    """Run a module's source under a name that `linecache` knows."""
    file = module.__file__
    assert file is not None
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    namespace: dict[str, Any] = module.__dict__
    exec(_in(file, _code(source)), namespace)


@lru_cache(maxsize=256)
def _code(source: str) -> CodeType:
    """Source that packages have in common is compiled once."""
    return compile(source, "<mmspec>", "exec")


def _in(file: str, code: CodeType) -> CodeType:
    """The same code under the name of a file."""
    inner = (_in(file, part) if isinstance(part, CodeType) else part for part in code.co_consts)
    return code.replace(co_filename=file, co_consts=tuple(inner))
