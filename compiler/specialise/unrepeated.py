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
    _first: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """Names and texts of the first ones, by their shape."""

    def sources(self, texts: Iterable[str], alias: bool = False) -> list[str]:
        """Those that are new, told of the first ones; alias: the others as `name = first`."""
        found: list[str] = []
        for text in texts:
            name = _NAMED.search(text)
            if name is not None and not self._is_new(name[1], text):
                found += [f"{name[1]} = {self.same[name[1]]}\n"] if alias else []
            else:
                found.append(self.told(text))
        return found

    def told(self, text: str) -> str:
        """A text with the first of functions that are alike in the place of the others."""
        return re.sub(r"\b[A-Za-z_]\w*\b", lambda match: self.same.get(match[0], match[0]), text)

    def _is_new(self, name: str, text: str) -> bool:
        others = self._first.setdefault(_shape(text), [])
        plain = _plain(text, self.same) if others else ""
        first = next((one for one, of in others if _plain(of, self.same) == plain), None)
        if first is None:
            others.append((name, text))
            return True
        self.same[name] = first
        return False


_NAMED = re.compile(r"^def (\w+)", re.MULTILINE)
_DOCUMENTED = re.compile(r"(\"{3}|'{3}).*?\1", re.DOTALL)


def _shape(text: str) -> str:
    """What texts of functions that are alike have in common, told soon: all but words and lines."""
    text = _DOCUMENTED.sub("", text, count=1)
    return re.sub(r"[\s,()]", "", re.sub(r"[A-Za-z_]\w*", "a", text))


def _plain(text: str, same: Mapping[str, str]) -> str:
    """A function without its name and documentation, its own names numbered as they come."""
    node = ast.parse(text).body[0]
    assert isinstance(node, ast.FunctionDef), text
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
