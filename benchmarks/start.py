"""What the light commands cost at the start, beside the packages that they cannot do without."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial

from measure import alternate, cpu_seconds, table

BASELINE = "import pydantic, yaml, rich"
ONE_MODEL = """
from pydantic import BaseModel
class Model(BaseModel): size: int = 1
Model()
import yaml
"""
CHECK = (sys.executable, "-m", "mmspec.cli", "check", "specs/gated.yaml")
COMMANDS = {
    BASELINE: [sys.executable, "-c", BASELINE],
    "mmspec --help": [sys.executable, "-m", "mmspec.cli", "--help"],
    "mmspec check, as in every later run": [*CHECK],
    "mmspec check, a spec never seen": ["env", f"MMSPEC_CACHE={os.devnull}", *CHECK],
    "one pydantic model, made and used": [sys.executable, "-c", ONE_MODEL],
}


def main() -> None:
    """Print CPU seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="runs of each command")
    rounds = parser.parse_args().rounds
    measures = {name: partial(cpu_seconds, command) for name, command in COMMANDS.items()}
    print(table(alternate(measures, rounds), BASELINE, "CPU seconds of a process"))


if __name__ == "__main__":
    main()
