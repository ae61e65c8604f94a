"""`mmspec compile`, `show --json`, `analyze --json`: every shipped spec, from the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmspec.cli import waiting
from mmspec.cli.main import main
from mmspec.text import parse, read

ROOT = Path(__file__).parents[2]
SPECS = sorted((ROOT / "specs").glob("*.yaml"))
GATED = str(ROOT / "specs" / "gated.yaml")
STEPS = ("read", "validate", "lower", "emit")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def contents(folder: str) -> dict[str, bytes]:
    """Every file of a folder."""
    there = (path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in there}


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_spec_is_written_and_again_the_same(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compile", str(path)]) == 0
    assert capsys.readouterr().out == f"wrote {Path(path.stem).resolve()}\n"
    first = contents(path.stem)
    assert {"__init__.py", "manifest.json", "model.py", "spec.yaml"} <= first.keys()
    assert main(["compile", str(path)]) == 0
    assert contents(path.stem) == first
    assert os.listdir() == [path.stem]


def test_output_names_the_folder(capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("-o", "--output"):
        assert main(["compile", GATED, option, f"deep/{option.strip('-')}"]) == 0
        assert capsys.readouterr().out == f"wrote {Path('deep', option.strip('-')).resolve()}\n"
    assert contents("deep/o") == contents("deep/output")
    assert os.listdir() == ["deep"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_step_prints_what_it_made_and_writes_nothing(
    path: Path,
    step: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "_PATIENCE", 600.0)  # a busy machine is no word on stderr
    assert main(["compile", str(path), "--stop-after", step]) == 0
    shown = capsys.readouterr()
    assert not shown.err
    assert os.listdir() == []
    if step in ("read", "validate"):
        assert yaml.safe_load(shown.out)["name"] == path.stem
    if step == "read":
        assert parse(shown.out).data == read(path).data
    begins = {"lower": f"plan {path.stem} (", "emit": "# __init__.py\n"}
    assert shown.out.startswith(begins.get(step, "mmspec: 1\n"))


def test_a_step_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", GATED, "--stop-after", "lowr"]) == 2
    shown = capsys.readouterr()
    assert "error[MM606]" in shown.err
    assert "did you mean `lower`?" in shown.err
    assert not shown.out


@pytest.mark.parametrize(
    ("prepare", "code"), [("file", "MM601"), ("strangers", "MM602"), ("edited", "MM605")]
)
def test_what_is_not_ours_is_left_alone(
    prepare: str, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if prepare == "file":
        Path("gated").write_text("precious")
    elif prepare == "strangers":
        Path("gated").mkdir()
        Path("gated", "notes.txt").write_text("precious")
    else:
        assert main(["compile", GATED]) == 0
        with Path("gated", "model.py").open("a") as file:
            file.write("# precious\n")
    before = Path("gated").read_bytes() if prepare == "file" else contents("gated")
    capsys.readouterr()
    assert main(["compile", GATED]) == 2
    shown = capsys.readouterr()
    assert f"error[{code}]" in shown.err
    assert "help: " in shown.err
    assert not shown.out
    assert before == (Path("gated").read_bytes() if prepare == "file" else contents("gated"))


def test_force_replaces_what_was_edited() -> None:
    assert main(["compile", GATED]) == 0
    first = contents("gated")
    Path("gated", "model.py").write_text("# edited\n")
    assert main(["compile", GATED, "--force"]) == 0
    assert contents("gated") == first


def test_an_empty_folder_will_do() -> None:
    Path("gated").mkdir()
    assert main(["compile", GATED]) == 0


def test_a_wrong_spec_leaves_no_folder(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = Path(GATED).read_text(encoding="utf-8").replace("patch: 16", "patch: 7")
    Path("wrong.yaml").write_text(wrong, encoding="utf-8")
    assert main(["compile", "wrong.yaml"]) == 2
    assert "wrong.yaml:8:60 error[MM105]" in capsys.readouterr().err
    assert os.listdir() == ["wrong.yaml"]


@pytest.mark.parametrize("command", ["show", "analyze"])
@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_figures_as_json(path: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--json", str(path)]) == 0
    found = json.loads(capsys.readouterr().out)
    given = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(given["streams"]) == set(found["reads" if command == "show" else "streams"])


def shown_as_json(capsys: pytest.CaptureFixture[str], name: str) -> dict[str, Any]:
    """What `mmspec show --json` prints of a shipped spec."""
    assert main(["show", "--json", str(ROOT / "specs" / f"{name}.yaml")]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_show_as_json_has_the_graph_and_its_parameters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = shown_as_json(capsys, "hierarchical")
    assert found["class"] == "Hierarchical"
    assert found["reads"]["cross"] == [{"stream": "audio_local"}, {"stream": "text_local"}]
    assert found["reads"]["audio_local"] == [{"modality": "audio"}]
    assert found["most_tokens"]["whole"] == {"whole": 12}
    counted = found["parameters"]
    parts = [*counted["streams"].values(), *counted["heads"].values()]
    assert counted["total"] == sum(parts)
    assert shown_as_json(capsys, "gpt2")["parameters"]["total"] == 124_439_808


def test_masks_by_pair_are_in_the_tree(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(ROOT / "specs" / "single_stream.yaml")]) == 0
    shown = capsys.readouterr().out
    for words in ("image sees image  full", "text sees image  full", "text sees text  causal"):
        assert words in shown


LOADED = """
import sys
from mmspec.cli.main import main
from mmspec.text import parse, read
code = main({arguments!r})
print(code, *sorted({{"torch", "sympy", "numpy", "triton"}} & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments", [["compile", GATED], ["show", GATED], ["analyze", GATED]], ids=lambda row: row[0]
)
def test_neither_torch_nor_sympy_is_loaded(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(arguments=arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.splitlines()[-1] == "0"
