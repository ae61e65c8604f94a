"""Exit codes, as `mmspec --help` lists them."""

from __future__ import annotations

from typing import Final

FINE: Final = 0
PROBLEMS: Final = 1
USAGE: Final = 2
INTERNAL: Final = 3
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141

TABLE: Final = """\
exit codes:
  0    fine
  1    problems found: an invalid spec (check), a claim or law refuted (verify)
  2    bad usage or bad input
  3    internal error; MMSPEC_TRACEBACK=1 shows where
  130  interrupted
  141  the reader of the output went away
"""
