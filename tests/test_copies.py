"""No run of lines stands twice in the product, but where it must."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import combinations

from source_tree import modules

RUN = 6
"""Lines of code from which on a run that stands again is a copy."""

STAY = {
    ("mmspec.compiler.parts.decoding_layers", "mmspec.compiler.parts.decoding_layers"),
    ("mmspec.compiler.parts.halting", "mmspec.compiler.parts.halting"),
    ("mmspec.compiler.parts.halting", "mmspec.compiler.parts.stream"),
    ("mmspec.compiler.parts.stream", "mmspec.compiler.parts.stream"),
    ("mmspec.compiler.runtime.sparse", "mmspec.compiler.runtime.sparse"),
}
"""Signatures of a protocol, one parameter a line: stacks, blocks, and operators of torch."""

_PASSED = re.compile(r"(?:#|import |from \w[\w.]* import |[^\w]*$)")


def runs(text: str) -> list[tuple[str, ...]]:
    """Every run of so many lines of code; those that say nothing are passed over."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if not _PASSED.match(line)]
    return [tuple(lines[at : at + RUN]) for at in range(len(lines) - RUN + 1)]


def copies(texts: dict[str, str]) -> set[tuple[str, str]]:
    """Pairs of modules that have a run in common, one twice where it has it twice itself."""
    places = defaultdict[tuple[str, ...], list[str]](list)
    for name, text in texts.items():
        for run in runs(text):
            places[run].append(name)
    return {pair for found in places.values() for pair in combinations(sorted(found), 2)}


def test_no_run_of_lines_stands_twice() -> None:
    found = copies({name: module.text for name, module in modules().items()})
    assert not found - STAY, "move what both do to where both can call it"
    assert found == STAY, "what is no copy any more is not to be listed"


def test_a_copy_is_found() -> None:
    one = "def f(a, b):\n    # whole\n    x = a\n    y = b\n\n    z = x + y\n"
    one += "    z *= 2\n    return z\n"
    assert copies({"a": one, "b": f"import os\n\n{one}"}) == {("a", "b")}
    assert copies({"a": one + one}) == {("a", "a")}
    assert copies({"a": one, "b": one.replace("z *= 2", "z *= 3")}) == set()
