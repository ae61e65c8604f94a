"""A spec is data: no name, text or tag of it becomes code, and what is refused is refused well."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmspec.compiler import driver
from mmspec.compiler.emit import model as model_emitter
from mmspec.compiler.emit.emit import emit
from mmspec.compiler.lower.lower import lower
from mmspec.diagnostics import MmspecError
from mmspec.schema.names import check_name, check_package_name, check_part_name
from mmspec.schema.spec import Spec, camel
from mmspec.schema.validate import validate
from mmspec.text import parse

ROOT = Path(__file__).parents[2]
SPEC = """
mmspec: 1
name: small
about: words
dims: {d: 8}
modalities:
  text: {kind: tokens, vocab: 11, length: {max: 9}, position: learned, optional: true}
  picture: {kind: image, size: [4, 4], patch: 2}
  row: {kind: table, columns: {age: number, kind_of: {categories: 3}}}
  sound: {kind: audio, features: 3, rate: 100 Hz, length: {max: 6}}
streams:
  first:
    from: [text, picture]
    depth: 1
    width: 2*d
    heads: 2
    attention: {text -> text: causal, text -> picture: full}
    feed_forward: {kind: experts, experts: 3, choose: 2, activation: relu}
  second:
    from: {fusion: gated, of: [row, sound]}
    depth: 1
    width: d
    heads: 2
    norm: {kind: rms, placement: post}
    halting: {kind: ponder, at_most: 2, prior: 0.3}
heads:
  label: {from: second, kind: classifier, classes: 3, pool: last}
  next: {from: first, kind: language-model, tied: false}
objectives: {label: {loss: cross-entropy, smoothing: 0.1}}
claims: [params <= 1e6, no flow from text to second]
"""
CANARY = "injected"
HOSTILE = [
    f'"; import {CANARY}',
    f'"""; import {CANARY}; """',
    f"'''\nimport {CANARY}\n'''",
    f"'); import {CANARY} #",
    f"{{__import__('{CANARY}')}}",
    f"{{{CANARY}}}",
    f"{{0.__class__.{CANARY}}}",
    f"%({CANARY})s ${{{CANARY}}}",
    f'\\"""\\\nimport {CANARY}',
    f"{CANARY}\\",
    f'{CANARY}"',
    f"{CANARY}\nimport os",
    f"__{CANARY}__",
    f"../{CANARY}",
    f"/{CANARY}",
    f"{CANARY}.py",
    f"{CANARY} if True else 1",
    f"lambda: {CANARY}",
    f"[{CANARY}()]",
    f"# type: {CANARY}",
    f"{CANARY}\u0430",
    f"\uff49njected {CANARY}",
    f"text\u200b{CANARY}",
]
"""Text that would be code, a path, a format or another name if anything took it for one."""


def spec_of(data: Any) -> Spec:
    """The Spec of plain data, by way of JSON, which is YAML too."""
    return validate(parse(json.dumps(data, ensure_ascii=False)))


def replaced(data: Any, hostile: str) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Copies of `data` with one key or one value replaced, and where."""
    pairs = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in pairs:
        if isinstance(data, dict):
            renamed = {hostile if other == key else other: each for other, each in data.items()}
            yield ("key", key), renamed
        inner = replaced(value, hostile) if isinstance(value, dict | list) else ()
        for at, changed in (*inner, ((), hostile)):
            copy = dict(data) if isinstance(data, dict) else list(data)
            copy[key] = changed
            yield (key, *at), copy


def code_words(source: str) -> Iterator[str]:
    """Every identifier and constant of a module but those of its docstrings."""
    tree = ast.parse(source)
    documentation = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if id(node) in documentation:
            continue
        for _, value in ast.iter_fields(node):
            yield from (str(each) for each in (value if isinstance(value, list) else [value]))


@lru_cache
def clean() -> dict[str, list[str]]:
    """The words of code of the package of SPEC as it stands, by file."""
    spec = validate(parse(SPEC))
    return words_of(spec)


def words_of(spec: Spec) -> dict[str, list[str]]:
    """The words of code of a spec's package by file; objects of the tree left out."""
    files = emit(lower(spec), spec).files
    sources = {name: text for name, text in files.items() if name.endswith(".py")}
    return {
        name: [word for word in code_words(text) if not word.startswith("<ast.")]
        for name, text in sources.items()
    }


def test_the_spec_itself_is_fine() -> None:
    assert spec_of(yaml.safe_load(SPEC)) == spec_of(yaml.safe_load(SPEC))
    assert any("kv_heads" in word or "softmax" in word for word in clean()["model.py"])


@pytest.mark.parametrize("hostile", HOSTILE[::3], ids=range(0, len(HOSTILE), 3))
def test_hostile_text_is_refused_everywhere_but_in_words_about(hostile: str) -> None:
    accepted = set()
    for at, data in replaced(yaml.safe_load(SPEC), hostile):
        try:
            spec_of(data)
        except MmspecError as error:
            assert all(found.code in str(error) for found in error.diagnostics)
        else:
            accepted.add(at)
    assert accepted == {("about",)}


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_words_about_a_spec_are_no_code(hostile: str) -> None:
    spec = spec_of(yaml.safe_load(SPEC) | {"about": hostile})
    assert words_of(spec) == clean()
    files = emit(lower(spec), spec).files
    assert validate(parse(files["spec.yaml"])).about == hostile


@pytest.mark.parametrize(
    "escaped", [r"\0", r"\r", r"\x1b[2J", r"\x85", r"\u202e", r"\u2028", r"\u2066", r"\ufeff"]
)
def test_escapes_bring_back_no_hidden_character(escaped: str) -> None:
    for text in (f'about: "a{escaped}"', f'"a{escaped}": 1'):
        with pytest.raises(MmspecError) as caught:
            parse(text)
        assert caught.value.diagnostics[0].code == "MM003"


BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 40)]
)
YAML = {
    "!!python/object/apply:os.system ['true']": "MM010",
    "{a: !!python/name:os.system }": "MM010",
    "{a: !!binary aGk=}": "MM010",
    "{a: !local x}": "MM010",
    "{? !!python/tuple [1, 2] : 3}": "MM010",
    "{<<: {name: x}, name: y}": "MM012",
    "{a: &a [*a]}": "MM011",
    BOMB: "MM013",
    "a: " + "[" * 500 + "]" * 500: "MM013",
    "a: " + "{b: " * 500 + "}" * 500: "MM013",
    "a: " + "9" * 10_000: "MM014",
    "a: 1e999": "MM014",
}


@pytest.mark.parametrize("text", list(YAML), ids=lambda text: text[:30])
def test_yaml_that_is_more_than_data_is_refused(text: str) -> None:
    with pytest.raises(MmspecError) as caught:
        validate(parse(text))
    assert caught.value.diagnostics[0].code == YAML[text]


@pytest.mark.parametrize("value", [2**31, 10**30, -1, 0, 1.5, True, None, [], {}, "1" * 300])
def test_sizes_are_bounded(value: Any) -> None:
    data = yaml.safe_load(SPEC)
    data["streams"]["second"]["depth"] = value
    with pytest.raises(MmspecError):
        spec_of(data)


@pytest.mark.parametrize(
    "expression", ["9**9**9", "d.real", "d()", "(" * 400 + "d" + ")" * 400, "d if d else d"]
)
def test_sizes_are_not_evaluated_as_python(expression: str) -> None:
    data = yaml.safe_load(SPEC)
    data["streams"]["second"]["width"] = expression
    with pytest.raises(MmspecError):
        spec_of(data)


NAMES = ["class", "none", "match_", "a__b", "__init__", "1a", "a-b", "A", "", "x" * 41, "a b"]


@pytest.mark.parametrize("check", [check_name, check_part_name, check_package_name])
@pytest.mark.parametrize("name", [*NAMES, "n\u0430me", "\uff41", "a\n", "self", "torch", "loss"])
def test_names_that_are_none(check: Callable[[str], str], name: str) -> None:
    with pytest.raises(ValueError, match=r"name|reserved"):
        check(name)


@pytest.mark.parametrize("name", ["random", "copy", "test", "code", "types", "json"])
def test_a_package_hides_no_module_of_python(name: str) -> None:
    assert importlib.util.find_spec(name) is not None
    data = yaml.safe_load(SPEC)
    with pytest.raises(MmspecError) as caught:
        spec_of(data | {"name": name})
    (found,) = caught.value.diagnostics
    assert found.message == f"`{name}` is a module of Python"
    assert found.help == "a package of that name would hide it"
    assert check_part_name(name) == name


LOADED = """
import importlib, sys
import torch, triton, triton.language
sys.path.insert(0, sys.argv[1])
package = importlib.import_module(sys.argv[2])
for name in ("kernels", "runtime.tuning", "decoding"):
    importlib.import_module(f"{sys.argv[2]}.{name}")
import torch.distributed, torch.export, torch.utils.cpp_extension, torch.utils.data
import torch._dynamo, torch._inductor.compile_fx
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
"""Prints the top level of all that is loaded by what a package is used with."""


def test_a_package_hides_nothing_that_using_it_loads(tmp_path: Path) -> None:
    """The list comes from a process of its own, which imports torch's compiler: that takes long."""
    folder = driver.run(ROOT / "specs" / "sliding.yaml", "write", tmp_path / "drawn_here")
    done = subprocess.run(
        [sys.executable, "-c", LOADED, str(tmp_path), Path(folder).name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    names = set(done.stdout.split()) - {Path(folder).name}
    assert {"torch", "triton", "sympy", "typing_extensions", "numpy", "json"} <= names
    assert sorted(name for name in names if accepted(name, check_package_name)) == []
    data = yaml.safe_load(SPEC)
    with pytest.raises(MmspecError, match="would hide it"):
        spec_of(data | {"name": "typing_extensions"})


@pytest.mark.parametrize("name", ["imp", "distutils", "tomllib", "telnetlib", "usercustomize"])
def test_a_package_hides_no_module_of_another_python(name: str) -> None:
    assert not accepted(name, check_package_name)
    assert accepted(name, check_part_name)


PARTS = sorted((ROOT / "compiler" / "parts").glob("*.py"))
WRITTEN = [path for path in PARTS if path.stem in (*model_emitter.PARTS, "decoding")]
"""Those whose pieces stand in the file of the model, or are imported there."""


def imported(tree: ast.AST) -> set[str]:
    """Names that the imports of a module bind, those of other parts left out."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    outside = [node for node in imports if "mmspec" not in (getattr(node, "module", None) or "")]
    return {alias.asname or alias.name for node in outside for alias in node.names}


def accepted(name: str, check: Callable[[str], str]) -> bool:
    try:
        return check(name) == name
    except ValueError:
        return False


def test_no_model_is_called_like_what_its_file_holds() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in WRITTEN]
    names = set().union(*map(imported, trees)) - {"annotations"} | {"Mapping", "NamedTuple"}
    tuples = [node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)]
    names |= {node.name for node in tuples if "NamedTuple" in map(ast.unparse, node.bases)}
    assert {"F", "Tensor", "torch", "Routing"} <= names
    for name in names:
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
        assert not accepted(words, check_package_name) or camel(words) != name, name


def test_no_input_is_called_like_what_forward_calls() -> None:
    """What is local to `forward`, or called by it, cannot be the name of a parameter of it."""
    helpers = {
        node.name
        for path in WRITTEN
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }
    emitters = (ROOT / "compiler" / "emit" / f"{of}.py" for of in ("wiring", "objective", "model"))
    text = "".join(path.read_text(encoding="utf-8") for path in emitters)
    losses = (ROOT / "compiler" / "ir" / "objective.py").read_text(encoding="utf-8")
    called = {
        name
        for name in helpers
        if re.search(rf"\b{name}\(", text) or f'function = "{name}"' in losses
    }
    assert {"visible", "absent", "packed", "cross_entropy", "total_loss"} <= called
    assert [name for name in sorted(called) if accepted(name, check_part_name)] == []


@pytest.mark.parametrize("path", sorted((ROOT / "specs").glob("*.yaml")), ids=lambda p: p.stem)
def test_what_an_emitted_forward_names_cannot_be_an_input(path: Path) -> None:
    spec = validate(parse(path.read_text(encoding="utf-8")))
    tree = ast.parse(emit(lower(spec), spec).files["model.py"])
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    forward = classes[spec.class_name].body[-1]
    assert isinstance(forward, ast.FunctionDef) and forward.name == "forward"
    names = {node.id for node in ast.walk(forward) if isinstance(node, ast.Name)}
    inner = {
        node.id
        for each in ast.walk(forward)
        if isinstance(each, ast.comprehension)
        for node in ast.walk(each.target)
        if isinstance(node, ast.Name)
    }
    free = {name for name in names - inner if accepted(name, check_part_name)}
    assert free <= {*spec.modalities}
