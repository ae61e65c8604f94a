"""What starts fast stays fast: the facade and the light commands load no heavy package."""

from __future__ import annotations

import subprocess
import sys

import pytest
from source_tree import ROOT

HEAVY = ("hypothesis", "islpy", "numpy", "sympy", "torch", "triton")

STARTS = {
    "import mmspec": "import mmspec; mmspec.__version__; dir(mmspec)",
    "import mmspec.cli.main": "import mmspec.cli.main",
    "mmspec --help": "run('--help')",
    "mmspec --version": "run('--version')",
    "mmspec train --help": "run('train', '--help')",
    "mmspec check": "run('check', 'specs/gated.yaml')",
    "mmspec check --json": "run('check', 'specs/gated.yaml', '--json')",
    "mmspec explain": "run('explain', 'MM101')",
    "mmspec.check": "import mmspec; mmspec.check('specs/gated.yaml')",
}
"""What a person calls it, and the code that does it."""

_CODE = """
import sys
def run(*arguments):
    from mmspec.cli.main import main
    try:
        main(arguments)
    except SystemExit:
        pass
{start}
print()
print("loaded:", *sorted(set({heavy!r}) & set(sys.modules)))
"""


def loaded(start: str) -> list[str]:
    """Which heavy packages a fresh interpreter holds after `start`."""
    code = _CODE.format(start=start, heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].removeprefix("loaded:").split()


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS.keys())
def test_nothing_heavy_is_loaded(start: str) -> None:
    assert loaded(start) == []


def test_a_heavy_import_is_seen() -> None:
    assert loaded("import numpy") == ["numpy"]
