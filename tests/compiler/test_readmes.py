"""The README of each hard folder: its examples run, its files are there, and none is left out."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest
from source_tree import ROOT

COMPILER = ROOT / "compiler"
WALKED = {
    "emit": ("emit", "kernels"),
    "relations": ("relations",),
    "runtime": ("runtime",),
    "specialise": ("specialise",),
}
"""Pages by folder, and the folders whose files they walk through."""


def page(folder: str) -> str:
    """The text of a folder's README."""
    return (COMPILER / folder / "README.md").read_text(encoding="utf-8")


def named(folder: str) -> set[str]:
    """What a page names as a file or folder, in back quotes."""
    return set(re.findall(r"`([\w/]+(?:\.(?:py|cpp|md|yaml)|/))`", page(folder)))


def places(folder: str, name: str) -> list[Path]:
    """Where a name may stand: in the folder, one that it walks through, the compiler, the whole."""
    starts = [COMPILER / folder, *(COMPILER / other for other in WALKED[folder]), COMPILER, ROOT]
    return [start / name for start in starts]


@pytest.mark.parametrize("folder", WALKED)
def test_every_file_that_a_page_names_is_there(folder: str) -> None:
    emitted = {"attention.py", "kernels.py", "model.py", "decoding.py", "inputs.py", "sizes.py"}
    lost = {n for n in named(folder) - emitted if not any(p.exists() for p in places(folder, n))}
    assert not lost
    links = re.findall(r"\]\(([^)#]+)", page(folder))
    assert all((COMPILER / folder / link).exists() for link in links)


@pytest.mark.parametrize("folder", WALKED)
def test_every_file_of_the_folder_is_named(folder: str) -> None:
    told = named(folder)
    for walked in WALKED[folder]:
        found = [*(COMPILER / walked).rglob("*.py"), *(COMPILER / walked).rglob("*.cpp")]
        there = {str(path.relative_to(COMPILER / walked)) for path in found}
        there = {name for name in there if not name.endswith("__init__.py")}
        assert there
        assert not {n for n in there if not {n, f"{walked}/{n}"} & told}


@pytest.mark.parametrize("folder", WALKED)
def test_a_page_is_one_page(folder: str) -> None:
    assert len(page(folder).splitlines()) <= 100


@pytest.mark.parametrize("folder", WALKED)
def test_the_examples_say_what_they_print(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = doctest.testfile(
        str(COMPILER / folder / "README.md"), module_relative=False, verbose=False
    )
    assert found.attempted
    assert not found.failed
