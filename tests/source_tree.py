"""The shipped source as data: modules by name, what each imports, how long it is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The repository."""

FOLDERS = {"mmspec": "mmspec", "compiler": "mmspec.compiler", "verify": "mmspec.verify"}
"""Where source lies, and the name that it is imported by."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """A module of the shipped source: its dotted name and its text."""

    name: str
    text: str
    is_package: bool = False

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of it."""
        return tuple(ast.walk(self.tree))

    @property
    def lines(self) -> int:
        """How many lines it has."""
        return len(self.text.splitlines())

    def functions(self) -> Iterator[tuple[str, Function]]:
        """Every function and method, nested ones too, by module and name."""
        for node in self.nodes:
            if isinstance(node, Function):
                yield f"{self.name}.{node.name}", node

    def imported(self) -> Iterator[str]:
        """What it imports, lazily or not, as `module` or `module.name`; relative ones with dots."""
        for node in self.nodes:
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                origin = "." * node.level + (node.module or "")
                yield from (f"{origin}.{alias.name}" for alias in node.names)


def files() -> list[Path]:
    """Every Python file of the three folders, once: the two links are not followed."""
    return sorted(
        path
        for folder in FOLDERS
        for path in (ROOT / folder).glob("**/*.py")
        if not any((ROOT / link) in path.parents for link in ("mmspec/compiler", "mmspec/verify"))
    )


def import_name(path: Path) -> str:
    """The dotted name that a file of the repository is imported by."""
    folder, *inner = path.relative_to(ROOT).with_suffix("").parts
    if inner[-1] == "__init__":
        inner.pop()
    return ".".join([FOLDERS[folder], *inner])


@lru_cache
def modules() -> dict[str, Module]:
    """Every module of the shipped source by its dotted name."""
    found = [
        Module(import_name(path), path.read_text(encoding="utf-8"), path.name == "__init__.py")
        for path in files()
    ]
    return {module.name: module for module in found}


def dependencies(tree: dict[str, Module]) -> dict[str, set[str]]:
    """Which modules of `tree` each one imports, lazily or not."""
    return {
        name: {target for each in module.imported() if (target := _owner(each, tree))} - {name}
        for name, module in tree.items()
    }


def _owner(imported: str, tree: dict[str, Module]) -> str:
    """The module that an imported name is or lies in; `` when it is not one of ours."""
    while imported and imported not in tree:
        imported = imported.rpartition(".")[0]
    return imported
