"""How much of an emitted package's classes is there twice, but for constants."""

from __future__ import annotations

import ast
from collections.abc import Mapping

FIRST = ("attention.py", "model.py")
"""Files with classes of the model, those first that others import."""


def modules(files: Mapping[str, str]) -> list[ast.ClassDef]:
    """Classes of modules, in an order in which each stands after what it holds."""
    trees = (ast.parse(files[name]) for name in FIRST if name in files)
    found = [node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)]
    return [node for node in found if ast.unparse(node.bases[0]) == "nn.Module"]


def copies(files: Mapping[str, str]) -> list[str]:
    """Pairs of classes that are equal once constants, and classes that are equal, are."""
    known: dict[str, str] = {}
    named: dict[str, str] = {}
    found: list[str] = []
    waiting = modules(files)
    while waiting:
        held = {node.name for node in waiting}
        ready = [node for node in waiting if not held - {node.name} & _read(node)]
        for node in ready:
            text = _Plain(named).text(node)
            if text in known:
                found.append(f"{known[text]} = {node.name}")
            named[node.name] = known.setdefault(text, node.name)
        waiting = [node for node in waiting if node not in ready]
    return found


class _Plain(ast.NodeTransformer):
    """Writes every constant as 0 and every class by the name of the first that it is equal to."""

    def __init__(self, named: Mapping[str, str]) -> None:
        self.named = named

    def text(self, node: ast.ClassDef) -> str:
        """The class without its name and documentation."""
        copy = ast.parse(ast.unparse(node)).body[0]
        assert isinstance(copy, ast.ClassDef)
        copy.name = "_"
        return ast.dump(self.visit(copy))

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        """0 for anything."""
        return ast.Constant(0)

    def visit_Name(self, node: ast.Name) -> ast.Name:
        """The first of the classes that are equal."""
        return ast.Name(self.named.get(node.id, node.id), node.ctx)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """What torch does anyway may be said or not."""
        values = [(word, getattr(word.value, "value", None)) for word in node.keywords]
        kept = [word for word, value in values if type(value) not in (bool, float)]
        return self.generic_visit(ast.Call(node.func, node.args, kept))


def parameters(files: Mapping[str, str]) -> dict[str, dict[str, set[str]]]:
    """By class and parameter of its constructor, the text of all that it is given."""
    classes = {node.name: node for node in modules(files)}
    found: dict[str, dict[str, set[str]]] = {}
    for name, node in classes.items():
        inits = (item for item in node.body if isinstance(item, ast.FunctionDef))
        init = next((item for item in inits if item.name == "__init__"), None)
        found[name] = {item.arg: set() for item in init.args.args[1:]} if init else {}
    for call in (item for owner in classes.values() for item in ast.walk(owner)):
        if isinstance(call, ast.Call) and ast.unparse(call.func) in classes:
            taken = found[ast.unparse(call.func)]
            for parameter, value in zip(taken, call.args, strict=False):
                taken[parameter].add(ast.unparse(value))
            for word in call.keywords:
                taken[word.arg or "**"].add(ast.unparse(word.value))
    return found


def _read(node: ast.AST) -> set[str]:
    return {item.id for item in ast.walk(node) if isinstance(item, ast.Name)}
