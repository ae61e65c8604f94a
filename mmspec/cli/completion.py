"""Print what completes commands, options and choices in a shell.

eval "$(mmspec completion bash)"                     # in ~/.bashrc; for zsh in ~/.zshrc
mmspec completion fish > ~/.config/fish/completions/mmspec.fish
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from mmspec.cli import exits

NAME: Final = "completion"
SUMMARY: Final = "what completes commands and options in a shell"

_ZSH: Final = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"
_BASH: Final = """\
_mmspec() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{commands}"
    else
        case "${{COMP_WORDS[1]}} $before" in
{choices}
        *) case "$word" in -*) case "${{COMP_WORDS[1]}}" in
{options}
        esac ;; esac ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _mmspec mmspec
"""


@dataclass(frozen=True, slots=True)
class _Option:
    """An option, or an argument, of a command."""

    words: tuple[str, ...]
    """As it is written; an argument with choices stands behind the command's name."""
    help: str
    choices: tuple[str, ...]


def options(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument(
        "shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the shell's script."""
    found = {
        name: (summary, [*_options(name, parser)])
        for name, (summary, parser) in arguments.commands.items()
    }
    if arguments.shell == "fish":
        print(*_fish(found), sep="\n")
    else:
        print((_ZSH if arguments.shell == "zsh" else "") + _bash(found), end="")
    return exits.FINE


Commands = dict[str, tuple[str, list[_Option]]]
"""What each is for, and its options."""


def _options(name: str, parser: argparse.ArgumentParser) -> Iterator[_Option]:
    for action in parser._actions:
        words = tuple(action.option_strings) or ((name,) if action.choices else ())
        if words:
            yield _Option(words, action.help or "", tuple(map(str, action.choices or ())))


def _bash(commands: Commands) -> str:
    choices = [
        f"        {'|'.join(shlex.quote(f'{name} {word}') for word in option.words)})"
        f' words="{" ".join(option.choices)}" ;;'
        for name, (_, found) in commands.items()
        for option in found
        if option.choices
    ]
    words = {
        name: " ".join(word for option in found for word in option.words if word.startswith("-"))
        for name, (_, found) in commands.items()
    }
    return _BASH.format(
        commands=" ".join(commands),
        choices="\n".join(choices),
        options="\n".join(f'        {name}) words="{found}" ;;' for name, found in words.items()),
    )


def _fish(commands: Commands) -> Iterator[str]:
    for name, (summary, found) in commands.items():
        told = _quoted(summary)
        yield f"complete -c mmspec -n __fish_use_subcommand -f -a {name} -d {told}"
        for option in found:
            line = f"complete -c mmspec -n '__fish_seen_subcommand_from {name}'"
            for word in option.words:
                if word.startswith("--"):
                    line += f" -l {word[2:]}"
                elif word.startswith("-"):
                    line += f" -s {word[1:]}"
            if option.choices:
                line += f" -x -a '{' '.join(option.choices)}'"
            yield f"{line} -d {_quoted(option.help)}"


def _quoted(text: str) -> str:
    """A text as fish reads it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
