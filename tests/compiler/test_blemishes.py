"""What a reviewer would strike out of a package: sought on the syntax trees of all of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings

from mmspec.compiler import driver
from mmspec.compiler.emit.emit import emit
from mmspec.compiler.lower.lower import lower
from mmspec.verify.strategies import load, specs

SPECS = sorted((Path(__file__).parents[2] / "specs").glob("*.yaml"))
PROTOCOL = "_mask_"
"""In names of functions that a pattern calls alike, whatever each reads."""
OWN = ("model.py", "attention.py", "decoding.py", "inputs.py", "sizes.py")


def blemishes(text: str) -> list[str]:
    """What is wrong with a module, each as `line: what`."""
    tree = ast.parse(text)
    found = [f"{node.lineno}: {what}" for node, what in _expressions(tree)]
    for node in ast.walk(tree):
        for body in (getattr(node, field, None) for field in ("body", "orelse")):
            if isinstance(body, list):
                found += [f"{node.lineno}: {what}" for node, what in _statements(body)]
    found += [f"{node.lineno}: {what}" for node, what in _functions(tree)]
    return found + [f"1: {letter} is in no name" for letter in _idle_letters(text)]


def _functions(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and "emitter" in (ast.get_docstring(node) or ""):
            yield node, "a docstring about the compiler"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and PROTOCOL not in node.name:
            read = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
            idle = [item.arg for item in node.args.args if item.arg not in read]
            yield from ((node, f"{name} is not read") for name in idle)


def _expressions(tree: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    """A path's steps have the numbers that its spec gives them."""
    inside = {
        each
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name.endswith("Path")
        for each in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp):
            left, right = (_number(side) for side in (node.left, node.right))
            if isinstance(node.op, ast.Mult) and 1 in (left, right):
                yield node, "a product with 1"
            if isinstance(node.op, ast.FloorDiv | ast.Div) and right == 1:
                yield node, "a quotient by 1"
            if isinstance(node.op, ast.Add) and 0 in (left, right):
                yield node, "a sum with 0"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "range":
            sizes = [_number(item) for item in node.args]
            if sizes == [1] or sizes[:1] == [0]:
                yield node, "a range of one, or from 0"
        if isinstance(node, ast.Call):
            for word in node.keywords:
                if word.arg in ("label_smoothing", "smoothing", "p") and _number(word.value) == 0:
                    yield node, f"{word.arg} of 0"
            yield from ((node, "`parts[0]`") for x in node.args if ast.unparse(x) == "parts[0]")
            yield from (each for each in _calls(node) if node not in inside)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.BitOr):
            parts = [ast.dump(part) for part in _joined(node, type(node.op))]
            if len(parts) > len(set(parts)):
                yield node, "a condition that stands twice"


def _calls(node: ast.Call) -> Iterator[tuple[ast.expr, str]]:
    called = ast.unparse(node.func)
    sizes = node.args[0] if called.endswith(".split") and node.args else None
    if isinstance(sizes, ast.Tuple) and len({ast.dump(size) for size in sizes.elts}) == 1:
        yield node, "a split into equal parts"
    if called == "nn.Linear" and any((_number(size) or 0) > 3 for size in node.args):
        yield node, "a width without a name"


def _joined(node: ast.expr, sign: type[ast.operator]) -> Iterator[ast.expr]:
    """What is joined by one sign."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, sign):
        yield from _joined(node.left, sign)
        yield from _joined(node.right, sign)
    else:
        yield node


def _number(node: ast.expr) -> int | float | None:
    """An int, or the float 0; no other float, which may turn the type of a tensor."""
    value = node.value if isinstance(node, ast.Constant) else None
    return value if type(value) is int or (type(value) is float and value == 0) else None


def _statements(body: list[ast.stmt]) -> Iterator[tuple[ast.stmt, str]]:
    for one, after in pairwise(body):
        target = _named(one)
        given = after.value if isinstance(after, ast.Return) else None
        if isinstance(target, ast.Name) and isinstance(given, ast.Name) and target.id == given.id:
            yield one, f"{target.id} is named to be returned"
    for one in body:
        value = one.value if isinstance(one, ast.Assign | ast.AnnAssign) else None
        target = _named(one)
        if isinstance(value, ast.Dict) and not value.keys and target is not None:
            name = ast.unparse(target)
            if not any(f"{name}[" in ast.unparse(other) for other in body):
                yield one, f"{name} stays empty"


def _named(statement: ast.stmt) -> ast.expr | None:
    """What a statement gives a value to."""
    if isinstance(statement, ast.AnnAssign):
        return statement.target if statement.value else None
    return statement.targets[0] if isinstance(statement, ast.Assign) else None


def _idle_letters(text: str) -> Iterator[str]:
    """Letters of the legend that end no tensor's name."""
    legend = re.search(r"^Shapes: (.*?)\.\n", text, re.MULTILINE | re.DOTALL)
    ends = "".join(re.findall(r"\b[a-z][a-z_0-9]*_([a-z]{1,5}[0-9]?)\b", text))
    for entry in legend[1].split(",") if legend else ():
        letter = entry.split()[0]
        if letter not in ends:
            yield letter


@pytest.mark.parametrize("path", SPECS, ids=lambda path: str(path.stem))
def test_a_shipped_package_has_none(path: Path) -> None:
    files = driver.run(path, "emit").files
    assert {name: blemishes(files[name]) for name in OWN if name in files} == {
        name: [] for name in OWN if name in files
    }


@settings(max_examples=12, database=None, phases=[Phase.explicit, Phase.generate])
@given(spec_text=specs())
def test_drawn_packages_have_none(spec_text: str) -> None:
    spec = load(spec_text)
    files = emit(lower(spec), spec, "sdpa").files
    assert {name: blemishes(files[name]) for name in OWN if name in files} == {
        name: [] for name in OWN if name in files
    }


def test_what_a_long_mask_says_twice_is_asked_once() -> None:
    """Found by drawing."""
    long = "causal & (causal & prefix(5) & (block(6) | dilated(step=1, reach=2)))"
    spec = load(TWICE.format(long))
    text = emit(lower(spec), spec, "sdpa").files["model.py"]
    assert "return causal_qk & prefix_qk & (block_qk | dilated_qk)" in text


TWICE = """
mmspec: 1
name: twice
modalities: {{text: {{kind: tokens, vocab: 5, length: {{max: 9}}}}}}
streams: {{text: {{from: text, depth: 1, width: 4, heads: 1, attention: "{}"}}}}
heads: {{label: {{from: text, kind: classifier, classes: 2}}}}
"""


@pytest.mark.parametrize(
    ("planted", "what"),
    [
        ("x = order_r // 1", "a quotient by 1"),
        ("x = 1 * WIDTH", "a product with 1"),
        ("x = y * 1 + 0", "a sum with 0"),
        ("for i in range(1):\n    f(i)", "a range of one, or from 0"),
        ("for i in range(0, n):\n    f(i)", "a range of one, or from 0"),
        ("x = F.cross_entropy(a, b, label_smoothing=0.0)", "label_smoothing of 0"),
        ("def f(x):\n    y: Tensor = g(x)\n    return y", "y is named to be returned"),
        ("def f(x):\n    y = g(x)\n    return y", "y is named to be returned"),
        ("auxiliary: dict[str, Tensor] = {}\nreturned(auxiliary)", "auxiliary stays empty"),
        ('"""M.\n\nShapes: b batch, q queries.\n"""\nx_b = 1', "q is in no name"),
        ("x = embed(parts[0])", "`parts[0]`"),
        ("q, k, v = x.split((HEADS, HEADS, HEADS), dim=1)", "a split into equal parts"),
        ("x = (k <= q) & ((q <= k + 31) & (k <= q))", "a condition that stands twice"),
        ("self.patch = nn.Linear(48, WIDTH)", "a width without a name"),
        ('def f(x):\n    """For the emitter."""\n    return x', "a docstring about the compiler"),
        ("def f(x, most):\n    return x + 1", "most is not read"),
    ],
)
def test_each_is_seen(planted: str, what: str) -> None:
    (found,) = (line for line in blemishes(planted) if line.endswith(what))
    assert found


def test_what_is_used_is_none() -> None:
    assert not blemishes("losses: dict[str, Tensor] = {}\nif t:\n    losses['a'] = f(t)\n")
    assert not blemishes("def f(x):\n    y = g(x)\n    z = y + 1\n    return (y, z)\n")
