"""The README shows what the commands print, word for word."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import mmspec
from mmspec.cli.main import main
from mmspec.compiler import driver

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GATED = ROOT / "specs" / "gated.yaml"


def block_after(text: str, language: str = "") -> str:
    """The first code block of a language after some text."""
    found = re.search(rf"```{language}\n(.*?)```", README[README.index(text) :], re.DOTALL)
    assert found, text
    return found[1]


def test_the_spec_is_the_shipped_one() -> None:
    shown = block_after("## A spec, and what comes out", "yaml")
    assert shown == GATED.read_text(encoding="utf-8").partition("\n")[2]


def test_the_code_is_what_the_compiler_writes() -> None:
    files = driver.run(GATED, "emit").files
    for piece in re.split(
        r"^# gated/", block_after("no line of it branches", "python"), flags=re.M
    ):
        if piece:
            name, _, code = piece.partition("\n")
            assert code.strip("\n") in files[name.partition(",")[0]], name


def test_the_loops_are_what_the_compiler_writes() -> None:
    files = driver.run(ROOT / "specs" / "sliding.yaml", "emit").files
    loops = block_after("## Masks", "python").removeprefix("# sliding/model.py\n")
    assert loops.strip("\n") in files["model.py"]
    kernel = block_after("`text_mask_forward` of `sliding/kernels.py`", "python")
    assert kernel.strip("\n") in files["kernels.py"]


@pytest.mark.parametrize("command", ["analyze", "verify"])
def test_the_answers_are_what_the_commands_print(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    arguments = [command, "specs/gated.yaml"]
    fewest = ["--examples", "1"] * (command == "verify")  # what is shown is proved, not tried
    assert main([*arguments, *fewest]) == 0
    printed = capsys.readouterr().out.splitlines()
    for line in block_after(f"`mmspec {' '.join(arguments)}`").splitlines():
        assert line in printed


def test_the_error_is_what_check_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = GATED.read_text(encoding="utf-8").replace("fusion: gated", "fusion: gatde")
    Path("wrong.yaml").write_text(wrong, encoding="utf-8")
    assert main(["check", "wrong.yaml"]) == 1
    assert block_after("A wrong one is told") in capsys.readouterr().err


def test_the_python_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.chdir(ROOT)
    code = block_after("without writing a file", "python")
    given: dict[str, Any] = {
        "pixels_bchw": torch.randn(2, 3, 64, 64),
        "ids_bt": torch.randint(0, 256, (2, 7)),
        "n_b": torch.tensor([7, 4]),
        "y_b": torch.tensor([0, 8]),
    }
    exec(compile(code, "README.md", "exec"), given)
    assert given["out"].loss is not None
    assert given["Gated"] is mmspec.compile(GATED)


def test_every_page_that_is_linked_is_there() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).is_file(), link


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_are_there(page: Path) -> None:
    folders = "benchmarks|compiler|docs|mmspec|specs|tests|verify"
    named = re.findall(rf"[`(]((?:{folders})/[\w/.]*\w\.\w+)[`)]", page.read_text(encoding="utf-8"))
    assert not [path for path in named if not (ROOT / path).exists()]
