"""What is shipped is what is in the tree: wheel, source archive, and the wheel made from that."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from source_tree import ROOT, files, import_name

from mmspec.version import __version__

pytestmark = pytest.mark.slow

SOURCES = ("pyproject.toml", "README.md", "LICENSE", "mmspec", "compiler", "verify")
"""What a build reads."""


@dataclass(frozen=True)
class Built:
    """The archives of one build."""

    wheel: Path
    source: Path
    wheel_of_source: Path


def expected() -> set[str]:
    """Every file of ours that a wheel must hold, by its path there: what git would have."""
    python = {
        f"{import_name(path).replace('.', '/')}{'/__init__' if path.stem == '__init__' else ''}.py"
        for path in files()
    }
    small = (ROOT / "verify" / "faults" / "small").glob("*.yaml")
    specs = {f"mmspec/verify/faults/small/{path.name}" for path in small}
    return python | specs | {"mmspec/py.typed", "mmspec/compiler/runtime/native.cpp"}


def build(tree: Path, out: Path, *options: str) -> None:
    """Build with the installed setuptools; nothing is fetched."""
    command = [sys.executable, "-m", "build", "--no-isolation", *options]
    command += ["--outdir", str(out), str(tree)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A copy of the tree, links as links, built directly and by way of the source archive."""
    base = tmp_path_factory.mktemp("build")
    tree = base / "tree"
    tree.mkdir()
    unwanted = shutil.ignore_patterns("__pycache__")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=unwanted)
        else:
            shutil.copy(ROOT / name, tree / name)
    build(tree, base / "both")
    build(tree, base / "direct", "--wheel")
    return Built(
        wheel=next((base / "direct").glob("*.whl")),
        source=next((base / "both").glob("*.tar.gz")),
        wheel_of_source=next((base / "both").glob("*.whl")),
    )


def content(wheel: Path) -> set[str]:
    """The files of a wheel, without its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def run(target: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python with the installed copy first on its path, far from the repository."""
    environment = os.environ | {"PYTHONPATH": str(target)}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=target,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_way_to_a_wheel_gives_the_files_of_the_tree(built: Built) -> None:
    assert content(built.wheel) == expected()
    assert content(built.wheel_of_source) == expected()


def test_the_source_archive_holds_files_and_no_links(built: Built) -> None:
    with tarfile.open(built.source) as archive:
        members = archive.getmembers()
    assert [member.name for member in members if member.issym() or member.islnk()] == []
    names = {member.name.partition("/")[2] for member in members if member.isfile()}
    assert expected() - names == set()
    assert {"LICENSE", "README.md", "pyproject.toml"} <= names


def test_an_installed_wheel_works_on_its_own(built: Built, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", tmp_path, built.wheel], check=True, capture_output=True)
    shutil.copy(ROOT / "specs" / "gated.yaml", tmp_path)

    code = "import mmspec.compiler.driver as a, mmspec.verify as b; print(a.__file__, b.__file__)"
    imported = run(tmp_path, "-c", code)
    assert imported.stdout.split() == [
        str(tmp_path / "mmspec" / "compiler" / "driver.py"),
        str(tmp_path / "mmspec" / "verify" / "__init__.py"),
    ], imported.stderr
    assert not (tmp_path / "compiler").exists()

    checked = run(tmp_path, "-m", "mmspec.cli", "check", "gated.yaml")
    assert checked.returncode == 0, checked.stderr
    assert run(tmp_path / "bin", "mmspec", "--version").stdout == f"mmspec {__version__}\n"


def test_metadata_says_what_pyproject_says(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        folder = f"mmspec-{__version__}.dist-info"
        metadata = archive.read(f"{folder}/METADATA").decode()
        scripts = archive.read(f"{folder}/entry_points.txt").decode()
    assert f"Version: {__version__}\n" in metadata
    assert "License-Expression: Apache-2.0\n" in metadata
    assert "Requires-Dist: torch>=2.11\n" in metadata
    assert "mmspec = mmspec.cli.main:main" in scripts
