"""Parameters of a class that stands for several: their names, and what each of them gives."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmspec.compiler.specialise.classes import Class
from mmspec.compiler.specialise.constants import Bound, Constants, simple
from mmspec.compiler.specialise.docstrings import Parameter
from mmspec.compiler.specialise.evaluate import literal
from mmspec.compiler.specialise.nodes import is_self, own_attribute, rebuild, unused
from mmspec.compiler.specialise.origin import atoms, substituted_atoms


@dataclass
class Parameters:
    """Those of classes that differ in constants; `taken`: names that are something else.

    names: by the dump of the field that a parameter is. kept: attributes that methods read, and
    what the constructor sets them to.
    """

    classes: Sequence[Class]
    taken: set[str]
    constants: Constants
    names: dict[str, str] = field(default_factory=dict)
    fields: dict[str, ast.expr] = field(default_factory=dict)
    kept: dict[str, ast.expr] = field(default_factory=dict)

    def expression(self, origin: ast.expr, init: bool, wanted: str = "") -> ast.expr:
        """What a constant stood for, by parameters in the constructor, by attributes elsewhere."""
        found: dict[str, ast.expr] = {}
        whole = len(list(atoms(origin))) == 1 and not isinstance(origin, ast.BinOp | ast.Call)
        for atom in atoms(origin):
            values = self._values(atom)
            if _same(values):
                found[ast.dump(atom)] = self.constants.put(
                    literal(values[0]), atom, Bound.of(self.classes[0])
                )
            elif init or not _attribute(atom):
                name = self._parameter(atom, values, wanted if whole else "")
                found[ast.dump(atom)] = ast.Name(name, ast.Load())
            else:
                found[ast.dump(atom)] = self._kept(atom)
        return simple(substituted_atoms(origin, found))

    def literals(self, origin: ast.expr) -> tuple[str, ...]:
        """The text of the value that an expression of constants has in each class."""
        return tuple(_dumps(self._values(origin)))

    def sort(self) -> None:
        """Parameters in the order of the part's own, fields of one record in that of the record."""
        roots = list(self.classes[0].bound)
        owners = [ast.dump(_owner(node)) for node in self.fields.values()]

        def place(node: ast.expr) -> tuple[int, int, int]:
            root = next((n.id for n in ast.walk(node) if isinstance(n, ast.Name)), "")
            owner = _owner(node)
            names: list[str] = []
            if isinstance(node, ast.Attribute) and not is_self(node):
                record = Bound.of(self.classes[0]).value(owner)
                names = list(getattr(record, "__dataclass_fields__", ()))
            field_ = node.attr if isinstance(node, ast.Attribute) else ""
            own = names.index(field_) if field_ in names else len(names)
            first = roots.index(root) if root in roots else len(roots)
            return first, owners.index(ast.dump(owner)), own

        self.fields = dict(sorted(self.fields.items(), key=lambda item: place(item[1])))

    def given(self) -> dict[str, ast.expr]:
        """Each parameter, and the field of the part's own that it is."""
        return dict(self.fields)

    def values(self, item: Class) -> tuple[Any, ...]:
        """What a class gives for the parameters."""
        return tuple(Bound.of(item).value(node) for node in self.fields.values())

    def kept_in_order(self) -> list[tuple[str, ast.expr]]:
        """What the constructor sets attributes to, in the part's own order."""
        order = {name: place for place, name in enumerate(self.classes[0].statics)}
        return sorted(self.kept.items(), key=lambda pair: order.get(pair[0], len(order)))

    def annotated(self) -> Iterator[tuple[str, list[Any]]]:
        """Each parameter and all its values."""
        for name, node in self.fields.items():
            yield name, self._values(node)

    def text(self, constant: str) -> object:
        """What a docstring says for a constant that it names."""
        node = ast.parse(constant, mode="eval").body
        root = constant.partition(".")[0]
        if root in self.classes[0].statics:
            node = self._origin(root)
        values = self._values(node)
        if _same(values):
            return values[0]
        return Parameter(self.names.get(ast.dump(node), constant.rpartition(".")[2]))

    def _values(self, node: ast.expr) -> list[Any]:
        return [Bound.of(item).value(node) for item in self.classes]

    def _kept(self, atom: ast.expr) -> ast.expr:
        """`self.x` for a constant that methods read, set once for each value."""
        name = _attribute(atom)
        if isinstance(atom, ast.Attribute) and not is_self(atom):
            return self._kept_field(atom, name)
        if name not in self.kept:
            set_to = self.expression(self._origin(name), True, name)
            there = self._set_to(set_to)
            if there:
                return self._renamed(atom, there)
            self.kept[name] = set_to
        return atom

    def _kept_field(self, atom: ast.Attribute, record: str) -> ast.expr:
        """The same for a field of a record, which the record is not kept for."""

        def visit(node: ast.expr) -> ast.expr:
            return self._origin(record) if is_self(node) else rebuild(node, visit)

        origin = visit(atom)
        set_to = self.expression(origin, True, atom.attr)
        name = self._set_to(set_to)
        if not name:
            statics = self.classes[0].statics.keys()
            alike = {each for each in statics if ast.dump(self._origin(each)) == ast.dump(origin)}
            name = unused(atom.attr, self.kept.keys() | statics - alike)
            self.kept[name] = set_to
        return own_attribute(name, ast.Load())

    def _set_to(self, value: ast.expr) -> str:
        """The attribute that is set to this already; "" where none is."""
        text = ast.dump(value)
        return next((name for name, other in self.kept.items() if ast.dump(other) == text), "")

    def _origin(self, name: str) -> ast.expr:
        """What an attribute stood for, if that is the same in all classes; else itself."""
        own = own_attribute(name, ast.Load())
        found = [item.origins.get(name, own) for item in self.classes]
        return found[0] if len({ast.dump(node) for node in found}) == 1 else own

    @staticmethod
    def _renamed(atom: ast.expr, name: str) -> ast.expr:
        def visit(node: ast.expr) -> ast.expr:
            if isinstance(node, ast.Attribute) and is_self(node):
                return ast.Attribute(node.value, name, ast.Load())
            return rebuild(node, visit)

        return visit(atom)

    def _parameter(self, atom: ast.expr, values: list[Any], wanted: str) -> str:
        key = ast.dump(atom)
        if key not in self.names:
            own = wanted if not isinstance(atom, ast.Name) else ""
            options = [name for name in (own, *_options(atom)) if name]
            for name, node in self.fields.items():
                alike = options[0] == name or options[0].endswith(f"_{name}")
                if alike and _dumps(self._values(node)) == _dumps(values):
                    self.names[key] = name
                    return name
            known = self.taken | self.fields.keys() | self.classes[0].bound.keys()
            known -= {atom.id} if isinstance(atom, ast.Name) else set()
            name = next((name for name in options if name not in known), "")
            name = name or unused(options[-1], known)
            self.names[key] = name
            self.fields[name] = atom
        return self.names[key]


def _options(atom: ast.expr) -> list[str]:
    """Names for a parameter: the field's, then with what has the field before it."""
    words: list[str] = []
    node = atom
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Attribute):
            words.append(node.attr)
        assert isinstance(node, ast.Attribute | ast.Subscript)
        node = node.value
    words += [node.id] if node.id != "self" else []
    return [words[0], *([f"{words[1].removesuffix('s')}_{words[0]}"] if len(words) > 1 else [])]


def _owner(atom: ast.expr) -> ast.expr:
    """The record that an atom is a field of; itself where it is none."""
    return atom.value if isinstance(atom, ast.Attribute) and not is_self(atom) else atom


def _attribute(atom: ast.expr) -> str:
    """The `x` of `self.x`, or of a part of it; "" for a parameter."""
    node = atom
    while not is_self(node) and isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.attr if isinstance(node, ast.Attribute) else ""


def _same(values: Sequence[Any]) -> bool:
    return len(set(_dumps(values))) == 1


def _dumps(values: Sequence[Any]) -> list[str]:
    return [repr(value) for value in values]


def annotation(values: Sequence[Any]) -> ast.expr:
    """The type of some values, as it is written."""
    return ast.parse(_type(values), mode="eval").body


def _type(values: Sequence[Any]) -> str:
    there = [value for value in values if value is not None]
    if len(there) < len(values):
        return f"{_type(there)} | None" if there else "None"
    names = {type(value).__name__ for value in values}
    if names != {"tuple"}:
        return "float" if names == {"int", "float"} else " | ".join(sorted(names))
    if len({len(value) for value in values}) == 1 and len({_type([x]) for x in values[0]}) > 1:
        return f"tuple[{', '.join(_type(column) for column in zip(*values, strict=True))}]"
    items = [item for value in values for item in value]
    return f"tuple[{_type(items)}, ...]" if items else "tuple[()]"
