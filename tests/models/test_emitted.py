"""Emitted packages as files: clean, standalone, the same every time, no branch on a constant."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from copied import copies, parameters
from hypothesis import given, settings
from large import is_deep
from model_inputs import SMALL, SPECS

from mmspec.compiler import driver
from mmspec.compiler.emit.emit import emit
from mmspec.compiler.lower.lower import lower
from mmspec.verify.strategies import load, specs

ROOT = Path(__file__).parents[2]
ALL = [*SMALL, "gpt2"]
STRICT = "disallow_untyped_calls = true\nwarn_unreachable = false\nwarn_unused_ignores = true\n"
"""What packages are asked that the repository is not, and the other way round."""
STANDALONE = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("mmspec", "pydantic", "yaml", "sympy", "numpy"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import importlib
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    model = getattr(package, package.__all__[0])()
    assert sum(value.numel() for value in model.parameters())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every shipped spec, compiled to a package in one folder."""
    root = tmp_path_factory.mktemp("emitted")
    for name in ALL:
        driver.run(SPECS / f"{name}.yaml", "write", root / name)
    return root


def run(*command: str, cwd: Path, **env: str) -> str:
    """Output of a command that must succeed."""
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, env={**os.environ, **env}, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_packages_pass_ruff_and_its_formatter(folder: Path) -> None:
    rules = "--select=A,B,E,F,I,PIE,RUF,SIM,UP,W"
    ruff = (sys.executable, "-m", "ruff")
    run(*ruff, "check", "--isolated", "--line-length=100", rules, ".", cwd=folder)
    run(*ruff, "format", "--isolated", "--line-length=100", "--check", ".", cwd=folder)


def test_packages_pass_mypy_strict(folder: Path, tmp_path: Path) -> None:
    """As `mypy --strict` alone; what it knows of torch from `make check` it need not read again."""
    ours = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    modules = [module for name in ALL for module in (name, f"{name}.*")]
    settings = f"{ours}\n[[tool.mypy.overrides]]\nmodule = {modules}\n{STRICT}"
    (tmp_path / "pyproject.toml").write_text(settings, encoding="utf-8")
    given = (f"--config-file={tmp_path / 'pyproject.toml'}", f"--cache-dir={ROOT / '.mypy_cache'}")
    run(sys.executable, "-m", "mypy", *given, ".", cwd=folder)


def test_packages_need_torch_alone(folder: Path) -> None:
    names = [name for name in ALL if name != "gpt2"]
    run(sys.executable, "-c", STANDALONE, *names, cwd=folder, PYTHONSAFEPATH="")


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_decided_that_the_spec_decided(folder: Path, name: str) -> None:
    """No test, loop bound or flag of an emitted class is a constant that could have been folded."""
    for file in sorted((folder / name).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.If | ast.IfExp | ast.While):
                reads = [item for item in ast.walk(node.test) if isinstance(item, ast.Name)]
                assert reads, f"{file.name}:{node.test.lineno}: a constant decides"


@pytest.mark.parametrize("name", ALL)
def test_constructors_take_what_differs_and_no_two_classes_are_copies(
    folder: Path, name: str
) -> None:
    files = {path.name: path.read_text(encoding="utf-8") for path in (folder / name).glob("*.py")}
    assert copies(files) == []
    for owner, taken in parameters(files).items():
        for parameter, values in taken.items():
            passed_on = all(value.isidentifier() and value.islower() for value in values)
            assert values and (len(values) > 1 or passed_on), f"{owner}: {parameter} is {values}"


def test_copies_are_counted() -> None:
    part = "class {0}(nn.Module):\n    def __init__(self):\n        self.a = nn.Linear({1}, {2})\n"
    whole = "class {0}(nn.Module):\n    def __init__(self):\n        self.part = {1}()\n"
    near = part.format("Near", 3, 4) + part.format("Far", 5, 6)
    held = whole.format("NearWhole", "Near") + whole.format("FarWhole", "Far")
    assert copies({"model.py": near + held}) == ["Near = Far", "NearWhole = FarWhole"]
    other = part.format("Far", 5, 6).replace("self.a", "self.b")
    assert copies({"model.py": part.format("Near", 3, 4) + other + held}) == []


def test_the_same_spec_gives_the_same_bytes_in_another_process(
    folder: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; from mmspec.compiler import driver\n"
        "for name in sys.argv[2:]: driver.run(f'{sys.argv[1]}/{name}.yaml', 'write', name)"
    )
    run(sys.executable, "-c", code, str(SPECS), *ALL, cwd=tmp_path, PYTHONHASHSEED="7")
    first = {str(p.relative_to(folder)): p for p in folder.rglob("*") if "cache" not in str(p)}
    second = {str(p.relative_to(tmp_path)): p for p in tmp_path.rglob("*")}
    assert sorted(first) == sorted(second)
    for name, path in first.items():
        if path.is_file():
            assert path.read_bytes() == second[name].read_bytes(), name


@pytest.mark.deep
def test_drawn_specs_are_clean_too(tmp_path: Path) -> None:
    """Ruff and its formatter on packages of specs that no example was written for.

    Conditions of loops may be so long, for masks that nobody would write, that the formatter would
    break them elsewhere: in kernels that is let be.
    """

    @settings(max_examples=100 if is_deep() else 10, database=None)
    @given(spec_text=specs())
    def draw(spec_text: str) -> None:
        spec = load(spec_text)
        for backend in ("auto", "tiles"):
            package = emit(lower(spec), spec, backend)
            target = tmp_path / package.digest[:12]
            target.mkdir(exist_ok=True)
            for name, text in package.files.items():
                (target / name).parent.mkdir(exist_ok=True)
                (target / name).write_text(text, encoding="utf-8")

    draw()
    ruff = (sys.executable, "-m", "ruff")
    run(*ruff, "check", "--isolated", "--select=E,F,I,B", "--line-length=100", ".", cwd=tmp_path)
    style = ("--isolated", "--line-length=100", "--check", "--exclude=kernels.py")
    run(*ruff, "format", *style, ".", cwd=tmp_path)
