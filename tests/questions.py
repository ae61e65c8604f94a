"""Where the shipped source asks for the kind of a thing: counted, by concern, on the syntax tree.

A kind is a name of the language (`"ponder"`) or a class that stands for it (`ir.Ponder`). Asked is
by `==` or `in`, `match`, `isinstance`, a dictionary whose keys are kinds, a flag such as
`is_ponder`, a prefix or suffix of a name. Files that are named for a concern, in whatever layer,
may know its kinds: they are its own.

`python tests/questions.py [FOLDER]` counts another checkout, with the kinds of this one.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

from mmspec.compiler import ir
from mmspec.expressions.mask_patterns import PATTERNS
from mmspec.schema import fusion, halting, head, modality, norm, routing, scores

FOLDERS = ("mmspec", "compiler", "verify")
LINKS = ("mmspec/compiler", "mmspec/verify")


@dataclass(frozen=True)
class Concern:
    """Kinds of one thing: their names, their classes, and the files that are their own."""

    names: frozenset[str]
    classes: frozenset[str]
    """As `module.Class`, of the schema and of the Plan; the module may be `ir` too."""
    own: frozenset[str]
    """Names of files."""
    asked: frozenset[str] = frozenset({"kind", "name"})
    """What the names are held in: attributes and variables, as some names are words too."""
    flags: bool = True
    """Whether `is_` and a kind asks for it; `is_causal` is a fact of a relation."""

    def name(self, node: ast.expr) -> str | None:
        """The kind that a constant names."""
        value = node.value if isinstance(node, ast.Constant) else None
        return value if isinstance(value, str) and value in self.names else None


def members(union: Any) -> tuple[type, ...]:
    """The classes of a union, annotated or not."""
    inner = get_args(union)
    if isinstance(union, type):
        return (union,)
    return tuple(one for each in inner for one in members(each) if isinstance(one, type))


def names(kinds: tuple[type, ...], key: str = "kind") -> frozenset[str]:
    """What the language calls classes of the schema."""
    fields = [getattr(kind, "model_fields", {}).get(key) for kind in kinds]
    return frozenset(name for one in fields if one for name in get_args(one.annotation))


def classes(*kinds: type) -> frozenset[str]:
    """The classes by the last part of their module."""
    return frozenset(f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}" for kind in kinds)


def concern(union: Any, plan: Any, own: str, key: str = "kind", asked: str = "") -> Concern:
    """A concern by the unions of the language and of the Plan, and its files."""
    kinds, records = members(union), members(plan)
    held = frozenset({"kind", "name", *asked.split()})
    known = classes(*kinds, *records) | {f"ir.{record.__name__}" for record in records}
    return Concern(names(kinds, key), known, frozenset(own.split()), held)


CONCERNS = {
    "fusion": concern(fusion.Fusion, ir.Fusion, "fusion", "fusion", "fusion"),
    "halting": concern(halting.Halting, ir.Halting, "halting"),
    "feed-forward": concern(routing.FeedForward, ir.FeedForward, "routing"),
    "modality": concern(
        modality.Modality,
        ir.Raw,
        "modality modalities tokens image video audio frames table",
    ),
    "head": concern(head.Head, ir.Answer, "head heads objective", asked="loss"),
    "norm": concern(norm.Norm, ir.Norm, "norm"),
    "score": concern(scores.Relative, ir.Relative, "scores"),
    "mask": Concern(
        frozenset(PATTERNS),
        frozenset(f"mask.{name}" for name in ("And", "Or", "Not", "Pattern")),
        frozenset(
            {"mask", "masks", "mask_arguments", "mask_patterns", "kernel_mask", "definitions"}
        ),
        frozenset({"name", "pattern"}),
        flags=False,
    ),
}
"""What is counted: the kinds come from the language, so a new one is counted when it is there."""


@dataclass(frozen=True, order=True)
class Question:
    """One place where a kind is asked for."""

    concern: str
    path: str
    line: int
    text: str = field(compare=False)

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


_ASKING = (
    ast.Attribute,
    ast.Call,
    ast.Compare,
    ast.Dict,
    ast.MatchClass,
    ast.MatchValue,
    ast.Name,
)
"""What can ask, or name a class."""


@dataclass
class File:
    """One file of the source, and what its names mean."""

    path: str
    tree: ast.Module

    def __post_init__(self) -> None:
        self.meant = {
            alias.asname or alias.name: f"{node.module or ''}.{alias.name}"
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        self.asking = [node for node in ast.walk(self.tree) if isinstance(node, _ASKING)]
        self.local = {node.name for node in self.tree.body if isinstance(node, ast.ClassDef)}

    def is_own(self, one: Concern) -> bool:
        """Whether it is named for a concern."""
        return Path(self.path).stem in one.own

    def meaning(self, node: ast.expr) -> str:
        """A name or attribute as `module.Name`; empty for anything else."""
        if isinstance(node, ast.Name):
            whole = self.meant.get(node.id, f"{Path(self.path).stem}.{node.id}")
            return ".".join(whole.split(".")[-2:])
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = self.meant.get(node.value.id, node.value.id)
            return f"{module.rpartition('.')[2]}.{node.attr}"
        return ""

    def is_class(self, node: ast.expr, one: Concern) -> bool:
        """Whether an expression is a class of the concern, or a union or tuple with one."""
        if isinstance(node, ast.BinOp):
            return self.is_class(node.left, one) or self.is_class(node.right, one)
        if isinstance(node, ast.Tuple):
            return any(self.is_class(item, one) for item in node.elts)
        return self.meaning(node) in one.classes

    def questions(self, one: Concern) -> Iterator[ast.expr | ast.pattern]:
        """Where it asks for a kind, each place once."""
        for node in self.asking:
            if isinstance(node, ast.Compare):
                if self._compares(node, one):
                    yield node
            elif isinstance(node, ast.Call):
                if self._calls(node, one):
                    yield node
            elif isinstance(node, ast.MatchClass):
                if self.is_class(node.cls, one):
                    yield node
            elif isinstance(node, ast.MatchValue):
                if one.name(node.value) or self.is_class(node.value, one):
                    yield node
            elif isinstance(node, ast.Dict):
                if self._by_kind(node, one):
                    yield node
            elif isinstance(node, ast.Attribute | ast.Name) and _is_flag(node, one):
                yield node

    def _compares(self, node: ast.Compare, one: Concern) -> bool:
        sides = [node.left, *node.comparators]
        if any(self.meaning(side) in one.classes for side in sides):
            return True
        told = any(_word(side) in one.asked and not _is_axis(side) for side in sides)
        return told and any(_names(side, one) for side in sides)

    def _calls(self, node: ast.Call, one: Concern) -> bool:
        called = _word(node.func)
        if called in ("isinstance", "issubclass") and len(node.args) == 2:
            return self.is_class(node.args[1], one)
        if called in ("startswith", "endswith", "removesuffix", "removeprefix", "index"):
            words = (arg.value for arg in node.args if isinstance(arg, ast.Constant))
            return any(str(word).strip() in one.names for word in words if word != "")
        return False

    def _by_kind(self, node: ast.Dict, one: Concern) -> bool:
        keys = [key for key in node.keys if key is not None]
        if any(self.meaning(key) in one.classes for key in keys):
            return True
        whole = (key.elts if isinstance(key, ast.Tuple) else [key] for key in keys)
        asked = [one.name(part) for parts in whole for part in parts]
        return len({*asked} - {None}) > 1 and 4 * sum(map(bool, asked)) > 3 * len(keys)


def _word(node: ast.expr) -> str:
    """The last word of a name or attribute, or of what is called."""
    if isinstance(node, ast.Call):
        return _word(node.func)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _names(node: ast.expr, one: Concern) -> bool:
    """Whether an expression is a kind's name or a display with one."""
    items = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]
    return any(one.name(item) for item in items)


def _is_axis(node: ast.expr) -> bool:
    """Whether an expression is the name of an axis, or what a picture's panel shows: words too."""
    return isinstance(node, ast.Attribute) and _word(node.value) in ("axis", "panel")


def _is_flag(node: ast.Attribute | ast.Name, one: Concern) -> bool:
    """Whether a name is `is_` and a kind."""
    word = _word(node)
    said = re.fullmatch(r"_?is_(\w+)", word) if one.flags and "is_" in word else None
    return (
        said is not None
        and said[1] not in ("table", "tokens")  # words too
        and said[1].replace("_", "-") in one.names
    )


@lru_cache(maxsize=2)
def files(root: Path) -> tuple[File, ...]:
    """Every file of the product in a checkout."""
    return tuple(
        File(path.relative_to(root).as_posix(), ast.parse(path.read_text(encoding="utf-8")))
        for folder in FOLDERS
        for path in sorted((root / folder).glob("**/*.py"))
        if not any((root / link) in path.parents for link in LINKS)
    )


def questions(root: Path) -> list[Question]:
    """Every question about a kind outside its own files."""
    return sorted(
        {
            Question(name, file.path, node.lineno, ast.unparse(node))
            for file in files(root)
            for name, one in CONCERNS.items()
            if not file.is_own(one)
            for node in file.questions(one)
        }
    )


def knowing(root: Path, name: str) -> list[str]:
    """Files that name a class of a concern or ask for a kind of it, and are not its own."""
    one = CONCERNS[name]
    return [
        file.path
        for file in files(root)
        if not file.is_own(one)
        and (
            any(True for _ in file.questions(one))
            or any(
                isinstance(node, ast.expr) and file.meaning(node) in one.classes
                for node in file.asking
            )
        )
    ]


if __name__ == "__main__":
    here = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1])
    found = questions(here)
    print(*found, sep="\n")
    print(dict(Counter(question.concern for question in found)), len(found))
    for each in CONCERNS:
        print(f"files that know a kind of {each}:", len(knowing(here, each)))
