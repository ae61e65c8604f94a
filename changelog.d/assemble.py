"""Put the fragments of this folder into CHANGELOG.md, and take them away: `make changelog`.

A fragment is NAME.md: one change, as the entry of the list that it becomes. So two changes made
side by side never meet in one file.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from mmspec.version import __version__

ROOT = Path(__file__).parents[1]
UNRELEASED = "(not released yet)"
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\.md")
_HEADING = re.compile(r"^## (\S+)(.*)$", re.MULTILINE)


def problems(path: Path) -> list[str]:
    """What is wrong with a fragment: a line each, where it is and how it should be."""
    text = path.read_text(encoding="utf-8")
    first, *more = text.splitlines() or [""]
    found = []
    if not _NAME.fullmatch(path.name):
        found.append(f"{path.name}: call it like `first-difference.md`: small letters, digits, -")
    if not re.match(r"- \S", first):
        found.append(f"{path.name}:1: an entry begins with `- `")
    for number, line in enumerate(more, start=2):
        if not re.match(r"  \S", line):
            found.append(
                f"{path.name}:{number}: one entry a file; its other lines begin with two blanks"
            )
    if not text.endswith(".\n"):
        found.append(f"{path.name}: an entry is a sentence: it ends with `.` and one line end")
    return found


def assembled(changes: str, entries: list[str], version: str) -> str:
    """The text of CHANGELOG.md with the entries at the end of what is not released yet.

    Where the newest version is released, another one is begun: `version`, which must be newer.
    """
    headings = list(_HEADING.finditer(changes))
    newest = headings[0] if headings else None
    if newest is None or UNRELEASED not in newest[2]:
        if any(heading[1] == version for heading in headings):
            raise ValueError(f"{version} is released: raise the version in mmspec/version.py first")
        start = newest.start() if newest else len(changes)
        section = f"## {version} {UNRELEASED}\n\n{''.join(entries)}"
        return changes[:start] + section + ("\n" if newest else "") + changes[start:]
    end = headings[1].start() if len(headings) > 1 else len(changes)
    body = changes[:end].rstrip("\n")
    gap = "\n" if body.splitlines()[-1].startswith(("- ", "  ")) else "\n\n"
    rest = f"\n{changes[end:]}" if len(headings) > 1 else ""
    return f"{body}{gap}{''.join(entries)}{rest}"


def main(arguments: list[str]) -> int:
    """Assemble; 1, and nothing is changed, where a fragment is no entry or all is released."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository")
    root: Path = parser.parse_args(arguments).root
    fragments = sorted((root / "changelog.d").glob("*.md"))
    wrong = [problem for path in fragments for problem in problems(path)]
    changes = root / "CHANGELOG.md"
    if not wrong and fragments:
        try:
            entries = [path.read_text(encoding="utf-8") for path in fragments]
            text = assembled(changes.read_text(encoding="utf-8"), entries, __version__)
        except ValueError as error:
            wrong = [str(error)]
        else:
            changes.write_text(text, encoding="utf-8")
            for path in fragments:
                path.unlink()
    print("\n".join(wrong) or f"{len(fragments)} entries put into CHANGELOG.md")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
