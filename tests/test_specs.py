"""Every spec that is shipped or shown: it says what it is for, is valid and compiles."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mmspec.cli import starters
from mmspec.compiler import driver
from mmspec.compiler.ir import Plan
from mmspec.schema.validate import validate
from mmspec.text import parse

ROOT = Path(__file__).parents[1]
SHIPPED = sorted((ROOT / "specs").glob("*.yaml"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def shown() -> dict[str, str]:
    """Whole specs in the pages, by page and line."""
    found: dict[str, str] = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            if match[1].lstrip("\n").startswith("mmspec: 1"):
                found[f"{page.name}:{text.count(chr(10), 0, match.start()) + 1}"] = match[1]
    return found


SHOWN = shown()


def test_there_is_something_to_look_at() -> None:
    assert len(SHIPPED) >= 14
    assert {name.partition(":")[0] for name in SHOWN} >= {"README.md", "language.md"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_one_comment_at_the_top_says_what_it_shows(path: Path) -> None:
    first, second, *rest = path.read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(r"# [A-Z].{20,95}\.", first), first
    assert second == "mmspec: 1"
    assert not [line for line in rest if line.lstrip().startswith("#")]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_spec_is_named_like_its_file_and_says_more(path: Path) -> None:
    spec = driver.run(path, "validate")
    assert spec.name == path.stem
    assert spec.about
    assert len({driver.run(other, "validate").about for other in SHIPPED}) == len(SHIPPED)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_spec_compiles(path: Path) -> None:
    files = driver.run(path, "emit").files
    assert {"__init__.py", "model.py", "manifest.json", "spec.yaml"} <= files.keys()
    compile(files["model.py"], "model.py", "exec")


@pytest.mark.parametrize("text", SHOWN.values(), ids=SHOWN.keys())
def test_a_spec_in_a_page_compiles(text: str, tmp_path: Path) -> None:
    path = tmp_path / "shown.yaml"
    path.write_text(text, encoding="utf-8")
    assert isinstance(driver.run(path, "lower"), Plan)
    assert driver.run(path, "emit").files


@pytest.mark.parametrize("kind", starters.STARTERS)
def test_a_starter_compiles(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(starters.STARTERS[kind].replace("NAME", "mine"), encoding="utf-8")
    assert driver.run(path, "emit").class_name == "Mine"


def test_a_resolved_spec_compiles_to_the_same_model() -> None:
    first = driver.run(ROOT / "specs" / "hierarchical.yaml", "emit").files
    again = validate(parse(first["spec.yaml"]))
    from mmspec.compiler.emit.emit import emit
    from mmspec.compiler.lower.lower import lower

    assert emit(lower(again), again).files["model.py"] == first["model.py"]
