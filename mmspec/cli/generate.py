"""Let a trained language model write on from a prompt; what it writes comes as it is made.

    mmspec generate runs/topics --prompt "The with statement" --tokens 200 --temperature 0.8

What it reads besides is given as NAME=VALUE, such as image=a.png.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any, Final

from mmspec.cli import exits, given, output

NAME: Final = "generate"
SUMMARY: Final = "text that a trained language model writes on from a prompt"


def options(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    given.options(parser)
    given.values(parser)
    parser.add_argument(
        "--prompt", required=True, metavar="TEXT", help="text, or ids as a JSON list: [3, 1, 4]"
    )
    parser.add_argument(
        "--tokens", type=int, default=100, metavar="N", help="at most so many (default: 100)"
    )
    parser.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        metavar="T",
        help="below 1 surer, above 1 wilder; 0 takes the likeliest (default: 1)",
    )
    parser.add_argument("--top-k", type=int, metavar="K", help="draw among the K likeliest")
    parser.add_argument(
        "--top-p",
        type=float,
        default=1.0,
        metavar="P",
        help="draw among the fewest that together have this probability (default: 1)",
    )
    parser.add_argument("--stop", metavar="TEXT", help="end before this text")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    parser.add_argument("--head", metavar="NAME", help="of several, the head that writes")
    parser.add_argument("--json", action="store_true", help="print ids, text and why it ended")


def run(arguments: argparse.Namespace) -> int:
    """Print the prompt and what follows."""
    if arguments.tokens < 1:
        arguments.parser.error(f"argument --tokens: at least 1, not {arguments.tokens}")
    others = given.row(arguments.values, arguments.parser)
    using = given.loaded(arguments, "the first token")
    from mmspec.inference.generate import Sampling, Writer, writing
    from mmspec.inference.run import quietly

    sampling = Sampling(arguments.temperature, arguments.top_k, arguments.top_p, arguments.seed)
    head = writing(using.spec, arguments.head)
    writer = Writer(using, head, sampling, arguments.stop)
    prompt: Any = arguments.prompt
    if not writer.is_text:
        prompt = given.ids(prompt)
    with quietly():
        tokens = writer.ids(prompt, others, arguments.tokens)
        if arguments.json:
            found = writer.written(tokens)
            told = {"text": found.text, "ids": found.ids, "ended": found.ended}
            output.machine({"prompt": prompt, **told})
            return exits.FINE
        pieces = writer.text(tokens) if writer.is_text else (f" {token}" for token in tokens)
        print(output.encodable(arguments.prompt, sys.stdout), end="", flush=True)
        for piece in pieces:
            print(output.encodable(piece, sys.stdout), end="", flush=True)
    print()
    if writer.ended == "length":
        output.note("that is as long as the model reads")
    return exits.FINE
