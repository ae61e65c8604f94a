"""Functions that say the same but for their names, and those of what they take, stand once."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass
class Unrepeated:
    """Sources of functions, each of which is there once; `same`: by name, the first alike."""

    same: dict[str, str] = field(default_factory=dict)
    _first: dict[str, str] = field(default_factory=dict)

    def sources(self, texts: Iterable[str], alias: bool = False) -> list[str]:
        """Those that are new, told of the first ones; alias: the others as `name = first`."""
        found: list[str] = []
        for text in texts:
            node = ast.parse(text).body[0]
            name = node.name if isinstance(node, ast.FunctionDef) else ""
            if isinstance(node, ast.FunctionDef) and not self._is_new(node):
                found += [f"{name} = {self.same[name]}\n"] if alias else []
            else:
                found.append(self.told(text))
        return found

    def told(self, text: str) -> str:
        """A text with the first of functions that are alike in the place of the others."""
        return re.sub(r"\b[A-Za-z_]\w*\b", lambda match: self.same.get(match[0], match[0]), text)

    def _is_new(self, node: ast.FunctionDef) -> bool:
        name = node.name
        first = self._first.setdefault(_plain(node, self.same), name)
        if first == name:
            return True
        self.same[name] = first
        return False


def _plain(node: ast.FunctionDef, same: Mapping[str, str]) -> str:
    """A function without its name and documentation, its own names numbered as they come."""
    own = {item.arg for item in ast.walk(node) if isinstance(item, ast.arg)}
    names = [item for item in ast.walk(node) if isinstance(item, ast.Name)]
    own |= {item.id for item in names if isinstance(item.ctx, ast.Store)}
    numbers: dict[str, str] = {}

    def number(name: str) -> str:
        if name not in own:
            return same.get(name, name)
        return numbers.setdefault(name, f"_{len(numbers)}")

    if ast.get_docstring(node) is not None:
        del node.body[0]
    node.name = "_"
    for item in ast.walk(node):
        if isinstance(item, ast.arg):
            item.arg = number(item.arg)
        elif isinstance(item, ast.Name):
            item.id = number(item.id)
        elif isinstance(item, ast.Constant) and isinstance(item.value, str):
            item.value = number(item.value)  # a decorator names parameters
    return ast.dump(node)
