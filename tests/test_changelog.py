"""Changes are told in fragments, one a file, that become the list of CHANGELOG.md."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from source_tree import ROOT

from mmspec.version import __version__

HEAD = "# Changes\n\nWhat a user would notice.\n\n"
OPEN = f"{HEAD}## {__version__} (not released yet)\n\n- One thing.\n- Another,\n  of two lines.\n"
OLDER = "\n## 0.0.9\n\n- Old.\n"


def assemble(root: Path, changes: str, **fragments: str) -> tuple[int, str, str]:
    """Run what `make changelog` runs: its exit, what it says, and what CHANGELOG.md holds then."""
    (root / "CHANGELOG.md").write_text(changes, encoding="utf-8")
    folder = root / "changelog.d"
    folder.mkdir(exist_ok=True)
    for name, text in fragments.items():
        (folder / f"{name.replace('_', '-')}.md").write_text(text, encoding="utf-8")
    command = [sys.executable, str(ROOT / "changelog.d" / "assemble.py"), "--root", str(root)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout, (root / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("older", ["", OLDER])
def test_entries_go_to_the_end_of_what_is_not_released(tmp_path: Path, older: str) -> None:
    code, _, text = assemble(
        tmp_path, OPEN + older, b_two="- Second\n  thing.\n", a_one="- First.\n"
    )
    assert code == 0
    assert text == f"{OPEN}- First.\n- Second\n  thing.\n{older}"
    assert not list((tmp_path / "changelog.d").iterdir())
    assert assemble(tmp_path, text) == (0, "0 entries put into CHANGELOG.md\n", text)


def test_after_a_release_a_version_is_begun(tmp_path: Path) -> None:
    code, _, text = assemble(tmp_path, HEAD + OLDER.lstrip(), one="- First.\n")
    assert code == 0
    assert text == f"{HEAD}## {__version__} (not released yet)\n\n- First.\n{OLDER}"


def test_nothing_is_added_to_a_version_that_is_released(tmp_path: Path) -> None:
    released = OPEN.replace(" (not released yet)", "")
    code, told, text = assemble(tmp_path, released, one="- First.\n")
    assert (code, text) == (1, released)
    assert "raise the version in mmspec/version.py first" in told
    assert (tmp_path / "changelog.d" / "one.md").exists()


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("one", "First.\n", "one.md:1: an entry begins with"),
        ("one", "", "one.md:1: an entry begins with"),
        ("one", "- First.\n- Second.\n", "one.md:2: one entry a file"),
        ("one", "- First\nand more.\n", "one.md:2: one entry a file"),
        ("one", "- First\n", "one.md: an entry is a sentence"),
        ("one", "- First.", "one.md: an entry is a sentence"),
        ("One Two", "- First.\n", "One Two.md: call it like"),
    ],
)
def test_what_is_no_entry_is_told_and_nothing_changes(
    tmp_path: Path, name: str, text: str, told: str
) -> None:
    code, said, changes = assemble(tmp_path, OPEN, fine="- Fine.\n", **{name: text})
    assert (code, changes) == (1, OPEN)
    assert told in said
    assert (tmp_path / "changelog.d" / "fine.md").exists()


def test_the_fragments_there_are_can_be_assembled(tmp_path: Path) -> None:
    fragments = {
        path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "changelog.d").glob("*.md")
    }
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    code, told, text = assemble(tmp_path, changes, **fragments)
    assert code == 0, told
    before = changes.splitlines()
    assert [line for line in text.splitlines() if line in set(before)] == before
    assert all(entry in text for entry in fragments.values())
