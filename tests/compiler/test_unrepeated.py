"""Functions that are alike but for names stand once, in model.py and in kernels.py."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping

import pytest

from mmspec.compiler.emit.emit import emit
from mmspec.compiler.emit.sparse import Backend
from mmspec.compiler.lower.lower import lower
from mmspec.compiler.specialise.unrepeated import Unrepeated
from mmspec.verify.strategies import load

SPEC = """
mmspec: 1
name: alike
modalities:
  left: {kind: tokens, vocab: 16, length: {max: 512}, position: learned}
  right: {kind: tokens, vocab: 9, length: {max: 300}, position: learned}
streams:
  left: {from: left, depth: 1, width: 8, heads: 1, attention: "causal & window(before=31)"}
  right: {from: right, depth: 1, width: 16, heads: 2, attention: "causal & window(before=31)"}
  near: {from: right, depth: 1, width: 16, heads: 2, attention: "causal & window(before=15)"}
heads:
  a: {from: left, kind: language-model}
  d: {from: right, kind: language-model}
  c: {from: near, kind: classifier, classes: 3}
"""


def files(backend: Backend) -> Mapping[str, str]:
    """The package of two streams that see alike, and of one that does not."""
    spec = load(SPEC)
    return emit(lower(spec), spec, backend).files


def bodies(text: str) -> Counter[str]:
    """How often there is each function, its names left out."""
    found: Counter[str] = Counter()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            del node.body[: ast.get_docstring(node) is not None]
            plain = [type(item).__name__ for item in ast.walk(node)]
            numbers = [item.value for item in ast.walk(node) if isinstance(item, ast.Constant)]
            found[f"{plain} {[each for each in numbers if type(each) is int]}"] += 1
    return found


@pytest.mark.parametrize("file", ["model.py", "kernels.py"])
def test_no_function_is_there_twice(file: str) -> None:
    assert max(bodies(files("tiles")[file]).values()) == 1


def test_a_pattern_and_kernels_are_registered_for_each_stream() -> None:
    made = files("tiles")
    patterns = 'register("right_mask", Pattern(left_mask_blocks, left_mask_sees))'
    assert patterns in made["model.py"]
    assert 'KERNELS["right_mask"] = KERNELS["left_mask"]\n' in made["kernels.py"]
    assert "def near_mask_sees(" in made["model.py"]
    assert '    "near_mask": Kernels(' in made["kernels.py"]


def test_mask_functions_that_are_alike_are_one() -> None:
    made = files("sdpa")["model.py"]
    assert "\nright_mask = left_mask\n" in made and "def near_mask(" in made


@pytest.mark.parametrize(
    ("second", "is_same"),
    [
        ("def g(y):\n    z = y + 1\n    return z\n", True),
        ("def g(y):\n    '''Says so.'''\n    z = y + 1\n    return z\n", True),
        ("def g(y):\n    z = y + 2\n    return z\n", False),
        ("def g(y):\n    z = y + 1\n    return y\n", False),
        ("def g(y: int):\n    z = y + 1\n    return z\n", False),
        ("def g(y, u):\n    z = y + 1\n    return z\n", False),
        ("def g(y):\n    z = len(y)\n    return z\n", False),
    ],
)
def test_functions_are_alike_in_all_but_names(second: str, is_same: bool) -> None:
    once = Unrepeated()
    first = "def f(x):\n    w = x + 1\n    return w\n"
    assert (once.sources([first, second]) == [first]) is is_same
    assert once.same == ({"g": "f"} if is_same else {})


def test_what_reads_a_function_is_told_of_the_first() -> None:
    once = Unrepeated()
    texts = ["def f(x):\n    return x\n", "def g(y):\n    return y\n"]
    texts += ["def h(x):\n    return f(x)\n", "def i(y):\n    return g(y)\n", "j = [i, gg]\n"]
    assert once.sources(texts) == [texts[0], texts[2], "j = [h, gg]\n"]
