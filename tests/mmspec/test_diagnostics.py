"""Diagnostics: rendering, JSON, suggestions, and the page of codes."""

from __future__ import annotations

import json
import pickle
import re
from itertools import product
from pathlib import Path

import pytest
from rich.cells import cell_len

from mmspec.diagnostics import (
    CODES,
    Diagnostic,
    MmspecError,
    Span,
    as_json,
    explain,
    render,
    suggest,
)

ROOT = Path(__file__).parents[2]
HUNDREDS = {
    0: "reading",
    1: "schema",
    2: "expressions",
    3: "parts",
    4: "not compiled",
    5: "data",
} | {
    6: "training",
    7: "verification",
}
ONE = Diagnostic(
    "MM202", "`q` is not among `dims`", Span("a.yaml", 2, 8, 2, 11), "streams.x", "use d"
)


def test_rendering_shows_place_line_caret_and_help() -> None:
    source = {"a.yaml": "name: a\nwidth: 4*q\n"}
    assert render([ONE], source) == (
        "a.yaml:2:8 error[MM202]: `q` is not among `dims`\n"
        "2 | width: 4*q\n"
        "  |        ^^^\n"
        "in streams.x\n"
        "help: use d"
    )


def test_of_a_long_line_the_place_and_what_is_next_to_it_is_shown() -> None:
    source = {"a.yaml": "x" * 5000 + "HERE" + "y" * 5000}
    text = render([Diagnostic("MM202", "m", Span("a.yaml", 1, 5001, 1, 5005))], source)
    shown, carets = text.split("\n")[1:]
    assert len(shown) < 200
    assert shown[carets.index("^") : carets.rindex("^") + 1] == "HERE"


@pytest.mark.parametrize("unit", ["x", "日", "e\u0301", "\t", "\u200b", "\u2764\ufe0f"])
def test_no_line_is_broken_and_carets_stand_under_their_word(unit: str) -> None:
    for width, before, after in product(
        [24, 40, 80, 200], [0, 1, 30, 71, 74, 75, 76, 90, 3000], [0, 1, 4, 60, 3000]
    ):
        source = f"{unit * before}HERE{unit * after}"
        start = len(unit) * before + 1
        found = Diagnostic("MM202", "m", Span("a.yaml", 12, start, 12, start + 4))
        text = render([found], {"a.yaml": "\n" * 11 + source}, width=width)
        shown, carets = text.split("\n")[1:]
        assert cells(shown) <= max(width, 29)
        assert carets.strip(" |") == "^^^^"
        assert cells(shown[: shown.index("HERE")]) == carets.index("^")


def cells(text: str) -> int:
    """Columns of a terminal, as another library has them; a mark for colour takes none."""
    return sum(cell_len(character) for character in text if character != "\ufe0f")


def test_of_a_long_word_the_beginning_is_shown() -> None:
    found = Diagnostic("MM202", "m", Span("a.yaml", 1, 101, 1, 301))
    text = render([found], {"a.yaml": "a" * 100 + "b" * 200}, width=60)
    shown, carets = text.split("\n")[1:]
    assert len(shown) <= 60 and shown.count("b") == carets.count("^") > 40
    assert shown.index("b") == carets.index("^")


def test_colour_changes_nothing_but_escapes() -> None:
    source = {"a.yaml": "name: a\nwidth: 4*q\n"}
    colored = render([ONE], source, color=True)
    assert "\x1b[" in colored
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == render([ONE], source)


def test_carets_stand_under_wide_and_combining_characters() -> None:
    source = {"a.yaml": "日本e\u0301: 4*q"}
    text = render([Diagnostic("MM202", "x", Span("a.yaml", 1, 7, 1, 10))], source)
    assert text.split("\n")[2] == "  | " + " " * 7 + "^^^"


def test_a_span_over_several_lines_is_underlined_on_the_first() -> None:
    source = {"a.yaml": "a: [1,\n  2]\n"}
    text = render([Diagnostic("MM104", "x", Span("a.yaml", 1, 4, 2, 5))], source)
    assert text.split("\n")[2] == "  |    ^^^"


def test_sources_are_read_from_disk_or_left_out(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("width: 4*q\n")
    on_disk = Diagnostic("MM202", "x", Span(str(file), 1, 8, 1, 11))
    assert "1 | width: 4*q" in render([on_disk])
    gone = Diagnostic("MM202", "x", Span(str(tmp_path / "gone"), 1, 8, 1, 11))
    past = Diagnostic("MM202", "x", Span(str(file), 9, 8, 9, 11))
    assert "|" not in render([gone, past])


def test_text_of_the_user_cannot_steer_the_terminal() -> None:
    evil = "\x1b[2J\x07\u202e"
    diagnostic = Diagnostic("MM101", evil, Span("a\x1b", 1, 1, 1, 2), evil, evil)
    for text in (render([diagnostic], {"a\x1b": evil}), str(MmspecError(diagnostic))):
        assert not set(text) & set(evil.replace("[2J", ""))


def test_the_error_reads_as_plain_text_and_survives_pickling() -> None:
    error = MmspecError([ONE, Diagnostic("MM001", "cannot read `x`")])
    assert str(error) == (
        "a.yaml:2:8 error[MM202]: `q` is not among `dims` (in streams.x); use d\n"
        "error[MM001]: cannot read `x`"
    )
    assert pickle.loads(pickle.dumps(error)).diagnostics == error.diagnostics


def test_json_holds_every_field() -> None:
    (entry,) = json.loads(json.dumps(as_json([ONE])))
    assert entry == {
        "code": "MM202",
        "title": "unknown dimension",
        "message": "`q` is not among `dims`",
        "span": {"path": "a.yaml", "line": 2, "column": 8, "end_line": 2, "end_column": 11},
        "where": "streams.x",
        "help": "use d",
    }


def test_suggestions() -> None:
    assert suggest("wdth", ["width", "depth"]) == "width"
    assert suggest("zzz", ["width", "depth"]) is None


def test_explain() -> None:
    assert explain("mm008").startswith("MM008: duplicate key\n\n")
    assert explain("MM0008") == "no code `MM0008`; did you mean MM008?"


def test_the_page_of_codes_equals_the_table() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (MM\d+) \| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    assert [code for code, _, _ in rows] == sorted({code for code, _, _ in rows})
    assert {code: (title, meaning) for code, title, meaning in rows} == CODES


def test_every_code_stands_under_its_hundred() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    for section in page.split("\n## ")[1:]:
        hundred = int(section[2])
        assert (
            section.startswith(f"MM{hundred}xx: ") and HUNDREDS[hundred] in section.split("\n")[0]
        )
        assert all(
            code[2] == str(hundred) for code in re.findall(r"^\| (MM\d+)", section, re.MULTILINE)
        )


def test_every_code_in_the_source_is_in_the_table() -> None:
    used = {
        code
        for folder in ("mmspec", "compiler", "verify")
        for file in (ROOT / folder).rglob("*.py")
        for code in re.findall(r'"(MM\d{3})"', file.read_text(encoding="utf-8"))
    }
    assert used <= set(CODES)
