"""Emitted packages of a few specs, file by file: what users get, to be read as they read it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mmspec.compiler import driver

ROOT = Path(__file__).parents[2]
NAMES = (
    *("captioner", "cross_attention", "early_exit", "experts_top2", "gated", "gpt2"),
    *("hierarchical", "ponder", "video"),
)
"""One of each: gates, cross-attention, experts, both ways to stop, masks by pair and by heads."""

FILES = (
    *("attention.py", "decoding.py", "inputs.py", "model.py", "sizes.py"),
    "runtime/grouped.py",
)
"""Files that hold code of the model; the others name the version and hashes of these."""


def emitted(name: str) -> dict[str, str]:
    """The code of a shipped spec's package by golden file; `.txt`, so that no linter reads it."""
    files = driver.run(ROOT / "specs" / f"{name}.yaml", "emit").files
    return {f"{file}.txt": files[file] for file in FILES if file in files}


@pytest.mark.parametrize("name", NAMES)
def test_package(name: str, golden: Callable[[str, str], None]) -> None:
    for file, text in emitted(name).items():
        golden(f"packages/{name}/{file}", text)


@pytest.mark.parametrize("name", NAMES)
def test_no_golden_file_is_left_over(name: str) -> None:
    folder = ROOT / "tests" / "golden" / "packages" / name
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*.txt")) == sorted(
        emitted(name)
    )


def test_no_golden_package_is_left_over() -> None:
    folder = ROOT / "tests" / "golden" / "packages"
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)
