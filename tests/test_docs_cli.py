"""docs/cli.md: each command prints what the page shows; the exit codes are those of --help."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from mmspec.cli import exits
from mmspec.cli.main import main, parser

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


PACKED = """\
mmspec: 1
name: pages
modalities:
  text: {kind: tokens, vocab: 256, length: {max: 64}, position: rotary}
streams:
  text: {from: text, depth: 1, width: 32, heads: 2, attention: document | global(1)}
heads:
  label: {from: text, kind: classifier, classes: 3}
"""
"""The spec `packed.yaml` of the page."""


NOTES = """\
mmspec: 1
name: notes
modalities:
  text: {kind: tokens, vocab: 256, length: {max: 64}, position: rotary}
streams:
  text: {from: text, depth: 1, width: 32, heads: 2, attention: causal}
heads:
  kind: {from: text, kind: classifier, classes: 2}
  next: {from: text, kind: language-model}
"""
"""The spec of the run `runs/notes`."""


def examples() -> Iterator[tuple[str, str]]:
    """Every command of the page with the output shown below it, in order."""
    for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
        for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = example.partition("\n")
            yield command, output


def pattern(shown: str) -> str:
    """A regular expression of an output in which `...` stands for anything."""
    lines = (re.escape(line).replace(r"\.\.\.", ".*") for line in shown.splitlines())
    return "".join(r"(?:.*\n)*?" if line == ".*" else rf"{line}\n" for line in lines)


def _make_notes() -> None:
    """The run `runs/notes` and its data, in the folder that is the present one."""
    Path("notes.yaml").write_text(NOTES)
    pieces = ["def f(x): return x,code", "the parser reads a line,prose"]
    Path("notes.csv").write_text(
        "\n".join(["text,kind", *(f"{i} {pieces[i % 2]}" for i in range(300))])
    )
    Path("new.csv").write_text("text\nif x: pass\na line of words\n")
    assert main(["train", "notes.yaml", "--data", "notes.csv", "--steps", "5", "--json"]) == 0


def _make_vit() -> None:
    """The checkpoint `vit/`, as transformers writes it, in the folder that is the present one."""
    transformers: Any = import_module("transformers")
    Path("back").mkdir()
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "num_labels": 5}
    sizes |= {"intermediate_size": 32, "patch_size": 4, "image_size": 8}
    settings = transformers.ViTConfig(**sizes)
    transformers.ViTForImageClassification(settings).save_pretrained("vit")


def test_every_command_prints_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "specs").symlink_to(ROOT / "specs")
    (tmp_path / "packed.yaml").write_text(PACKED)
    monkeypatch.chdir(tmp_path)
    _make_notes()
    _make_vit()
    capsys.readouterr()
    monkeypatch.setenv("MMSPEC_CACHE", str(tmp_path / "cache"))
    for name in ("COLUMNS", "MMSPEC_TILES"):  # xdist sets the first
        monkeypatch.delenv(name, raising=False)
    for command, shown in examples():
        words = shlex.split(command)
        if words[0] == "cat":
            assert re.fullmatch(pattern(shown), Path(words[1]).read_text(encoding="utf-8")), command
            continue
        program = words.index("mmspec")
        variables, arguments = words[:program], words[program + 1 :]
        wrong = "error[" in shown
        if wrong:
            starter = Path("mine.yaml").read_text(encoding="utf-8")
            Path("mine.yaml").write_text(starter.replace("heads: 4", "heads: 5", 1))
        with monkeypatch.context() as own:
            for name, _, value in (variable.partition("=") for variable in variables):
                own.setenv(name, value)
            assert main(arguments) == (exits.PROBLEMS if wrong else exits.FINE), command
        captured = capsys.readouterr()
        printed = captured.err + captured.out if wrong else captured.out
        assert re.fullmatch(pattern(shown), printed), f"{command}:\n{printed}"


def test_every_command_is_on_the_page() -> None:
    commands = re.findall(r"^    ([a-z]+) {2,}\S", parser().format_help(), re.MULTILINE)
    assert len(commands) >= 9
    for command in commands:
        assert re.search(rf"^##.*\b{command}\b", PAGE, re.MULTILINE), command


def test_the_exit_codes_are_those_of_the_help() -> None:
    told = dict(re.findall(r"^  (\d+) +(.*)$", exits.TABLE, re.MULTILINE))
    shown = dict(re.findall(r"^\| (\d+) \| (.*) \|$", PAGE, re.MULTILINE))
    assert {code: text.replace("`", "") for code, text in shown.items()} == told
