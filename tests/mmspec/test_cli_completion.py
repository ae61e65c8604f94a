"""What shells complete: bash runs it; the others say the same commands and options."""

from __future__ import annotations

import re
import subprocess

import pytest
from command_line import call

from mmspec.cli import main

ASKED = """
asked() {
    COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _mmspec; echo "${COMPREPLY[*]}"
}
asked mmspec tr
asked mmspec train --ac
asked mmspec predict --format ""
asked mmspec completion ""
asked mmspec check spe
asked mmspec compile -
"""


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert call("completion", shell) == 0
    return capsys.readouterr().out


def test_bash_completes_commands_options_and_choices(capsys: pytest.CaptureFixture[str]) -> None:
    """Where a file may stand it says nothing, so that bash names files."""
    told = script("bash", capsys) + ASKED
    done = subprocess.run(["bash", "-c", told], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "train",
        "--accumulate",
        "table jsonl csv",
        "bash zsh fish",
        "",
        "-h --help -o --output --stop-after --backend --force",
    ]


def test_zsh_and_fish_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert script("zsh", capsys).endswith(script("bash", capsys))
    told = script("fish", capsys)
    (commands,) = main.parser()._subparsers._group_actions  # type: ignore[union-attr]
    for name, parser in commands.choices.items():  # type: ignore[union-attr]
        assert f" -a {name} -d '" in told
        lines = [each for each in told.splitlines() if f"from {name}'" in each]
        words = {word for each in parser._actions for word in each.option_strings}
        found = re.findall(r" -(l|s) ([a-z-]+)", "\n".join(line.split(" -d ")[0] for line in lines))
        assert {("--" if kind == "l" else "-") + word for kind, word in found} == words
