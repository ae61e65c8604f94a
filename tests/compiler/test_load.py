"""Packages in memory: loaded once by content, visible to inspect and to tracebacks."""

from __future__ import annotations

import copy
import inspect
import linecache
import pickle
import sys
import traceback
from pathlib import Path

import pytest
import torch

import mmspec
from mmspec.compiler import driver
from mmspec.compiler.emit.package import Package
from mmspec.compiler.load import load, load_module

SPECS = Path(__file__).parents[2] / "specs"
TEXT = """
mmspec: 1
name: loaded
modalities:
  x: {kind: tokens, vocab: 11, length: {max: 7}}
streams:
  x:
    from: x
    depth: DEPTH
    width: 6
    heads: 3
    feed_forward: {kind: experts, experts: 3, choose: 2}
heads:
  y: {from: x, kind: regressor, outputs: 1}
"""


def written(folder: Path, depth: int, name: str = "a.yaml", comment: str = "") -> Path:
    """A spec file with so many blocks."""
    path = folder / name
    path.write_text(comment + TEXT.replace("DEPTH", str(depth)))
    return path


def test_the_same_content_is_the_same_class(tmp_path: Path) -> None:
    first = mmspec.compile(written(tmp_path, 1))
    assert mmspec.compile(tmp_path / "a.yaml") is first
    assert mmspec.compile(written(tmp_path, 1, "b.yaml", "# a comment\n")) is first
    other = mmspec.compile(written(tmp_path, 2))
    assert other is not first and other.__name__ == first.__name__ == "Loaded"
    assert other.__module__ != first.__module__


def test_versions_of_a_spec_live_side_by_side(tmp_path: Path) -> None:
    """Each has operators of its own, and the first still work when others of its name have come."""
    ids = torch.randint(0, 11, (2, 5))
    first = mmspec.compile(written(tmp_path, 1))()
    before = first(x=ids).heads.y
    others = [mmspec.compile(written(tmp_path, depth))() for depth in range(2, 8)]
    operators = {
        sys.modules[f"{type(m).__module__[:-6]}.runtime.grouped"] for m in (first, *others)
    }
    assert len(operators) == 7
    assert torch.equal(first(x=ids).heads.y, before)
    for model in (first, *others):
        loss = model(x=ids, targets={"y": torch.zeros(2, 1)}).loss
        loss.backward()
        assert all(value.grad is not None for value in model.parameters())


@pytest.mark.parametrize("name", ["gated", "experts_top2"])
def test_inspect_shows_the_source_that_compile_writes(name: str, tmp_path: Path) -> None:
    model = mmspec.compile(SPECS / f"{name}.yaml")
    package = driver.run(SPECS / f"{name}.yaml", "emit")
    source = inspect.getsource(model)
    assert source.startswith(f"class {model.__name__}(nn.Module):")
    assert source in package.files["model.py"]
    module = sys.modules[model.__module__]
    assert inspect.getsource(module) == package.files["model.py"]
    attention = sys.modules[f"{module.__package__}.attention"]
    parts = [item for item in vars(attention).values() if inspect.isclass(item)]
    own = [item for item in parts if item.__module__ == attention.__name__]
    assert own and all(inspect.getsource(x) in package.files["attention.py"] for x in own)


def test_a_traceback_shows_the_emitted_line() -> None:
    model = mmspec.compile(SPECS / "gated.yaml")()
    try:
        model(image=torch.zeros(2, 64, 64, 3))
    except ValueError as error:
        shown = "".join(traceback.format_exception(error))
    else:
        raise AssertionError("the shape is wrong")
    lines = [line.strip() for line in shown.splitlines()]
    assert 'expect_numbers("image", image, (None, 3, 64, 64))' in lines
    assert any(line.startswith("raise ValueError(f") for line in lines)
    linecache.checkcache()
    assert inspect.getsource(type(model)).startswith("class Gated")


def test_a_package_that_fails_leaves_no_module() -> None:
    files = {"__init__.py": "from .model import X\n", "model.py": "X = 1\nraise RuntimeError(X)\n"}
    package = Package("broken", "X", files)
    before = set(sys.modules)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="1"):
            load(package)
        assert set(sys.modules) == before


def test_a_package_is_a_module_with_its_public_names() -> None:
    package = driver.run(SPECS / "gated.yaml", "emit")
    module = load_module(package)
    assert load_module(package) is module
    assert module.__all__ == ["Gated", "GatedHeads", "GatedOutput"]
    assert module.Gated is load(package) is mmspec.compile(SPECS / "gated.yaml")
    assert module.__doc__ and module.__doc__.startswith("Gated: a drawing and its name")


def test_models_are_copied_and_pickled() -> None:
    model = mmspec.compile(SPECS / "ponder.yaml")()
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert type(again) is type(model)
        for name, value in model.state_dict().items():
            assert torch.equal(again.state_dict()[name], value)
