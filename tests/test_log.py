"""docs/log.md: every entry says what was tried, with what figures, and what came of it."""

from __future__ import annotations

import re

import pytest
from source_tree import ROOT

PAGE = (ROOT / "docs" / "log.md").read_text(encoding="utf-8")
ENTRIES = dict(re.findall(r"^### ([^\n]+)\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))


def test_there_are_entries() -> None:
    assert len(ENTRIES) >= 12
    assert len(ENTRIES) == len(re.findall(r"^###", PAGE, re.MULTILINE))


@pytest.mark.parametrize("title", ENTRIES)
def test_an_entry_tells_what_was_tried_measured_and_done(title: str) -> None:
    tried, measured = ENTRIES[title].split("*Measured*")
    assert tried.startswith("*Tried*")
    measured, done = re.split(r"\*(?:Dropped|Instead|Kept)\*", measured, maxsplit=1)
    assert re.search(r"\d|nothing", measured)
    assert done.strip()
