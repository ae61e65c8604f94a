"""Write a spec of a published model's settings: the config.json of transformers.

    mmspec import Meta-Llama-3-8B
    mmspec weights meta_llama_3_8b.yaml Meta-Llama-3-8B --out llama.safetensors

What the language has no word for is an error; what it leaves out is named in the spec.
"""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Final

from mmspec.cli import exits, new, output

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "import"
SUMMARY: Final = "write a spec of a published model's config.json"


def options(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument(
        "settings", metavar="PATH", help="a folder with a config.json, or such a file"
    )
    parser.add_argument(
        "--name", metavar="NAME", help="of the spec, written to NAME.yaml (default: the folder's)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the spec; say how large the model is, and what was left out."""
    from pathlib import Path

    from mmspec import text
    from mmspec.compiler.lower.lower import lower
    from mmspec.families.importing import imported
    from mmspec.schema.validate import validate
    from mmspec.verify.costs import parameters

    given = Path(arguments.settings)
    name = new.checked(arguments.name or _named(given.resolve()))
    made = imported(given, name)
    path = Path(f"{name}.yaml")
    count = parameters(lower(validate(text.parse(made.text, str(path)))))
    new.write(path, made.text)
    print(f"wrote {path}: {made.family}, {count:,} parameters")
    if made.rest:
        output.note(f"not in the spec, which names them at its end: {', '.join(made.rest)}")
    print(f"next: mmspec show {path}, mmspec weights {path} {given}")
    return exits.FINE


def _named(path: Path) -> str:
    """A name for a spec, of the folder that a `config.json` lies in."""
    folder = path if path.is_dir() else path.parent
    found = re.sub(r"[^a-z0-9]+", "_", folder.name.lower()).strip("_")
    return found if re.match(r"[a-z]", found) else f"model_{found}".strip("_")
