"""Reading YAML: what scalars mean, where things stand, and what is refused, with its line."""

from __future__ import annotations

import itertools
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from mmspec.diagnostics import Diagnostic, MmspecError, Span
from mmspec.schema.resolved import dump as dump_spec
from mmspec.schema.validate import validate
from mmspec.text import Document, dump, parse, read
from mmspec.text.scalars import hint, needs_quotes, resolve

ROOT = Path(__file__).parents[2]


def problems(text: str) -> tuple[Diagnostic, ...]:
    with pytest.raises(MmspecError) as caught:
        parse(text, "s.yaml")
    return caught.value.diagnostics


def place(diagnostic: Diagnostic) -> tuple[str, int, int]:
    assert diagnostic.span is not None
    return diagnostic.code, diagnostic.span.line, diagnostic.span.column


def excerpt(document: Document, span: Span) -> str:
    line = document.text.split("\n")[span.line - 1]
    assert span.line == span.end_line
    return line[span.column - 1 : span.end_column - 1]


TEXT = [
    *["no", "on", "yes", "off", "y", "n", "12:30", "1:20:30", "0o17", "0x1f", "0b1", "1_000"],
    *["007", "08", "2024-01-01", "=", "1,000", "4*d", "~causal", "e5", ".", "-", "+", "1e"],
]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("true", True), ("false", False), ("null", None), ("~", None), ("", None)],
        *[("0", 0), ("12", 12), ("+3", 3), ("-7", -7), ("1.5", 1.5), (".5", 0.5), ("1.", 1.0)],
        *[("1e-5", 1e-5), ("5e6", 5e6), ("-2.5E+3", -2500.0)],
        *[(word, word) for word in TEXT],
    ],
)
def test_plain_scalars(text: str, value: Any) -> None:
    found = resolve(text)
    assert found == value and type(found) is type(value)
    if text:
        assert parse(f"a: {text}\n" if text != "-" else "a: '-'").data == {"a": value}


def test_quoted_scalars_are_text() -> None:
    assert parse("a: '5'\nb: \"true\"\nc: |\n  1\n").data == {"a": "5", "b": "true", "c": "1\n"}


@pytest.mark.parametrize(
    ("text", "write"),
    [
        *[("no", "write false"), ("On", "write true"), ("None", "write null")],
        *[("1_000", "write 1000"), ("1,000,000", "write 1000000"), ("0x1f", "write 31")],
        *[("0o17", "write 15"), ("007", "write 7"), ("12:30", "plain number")],
        *[("50%", "write 0.5"), ("2024-01-01", "no dates"), ("5", "without quotes")],
    ],
)
def test_hints_say_what_to_write(text: str, write: str) -> None:
    assert write in (hint(text) or "")


@pytest.mark.parametrize("text", ["", "full", "causal & none", "4*d", "cross-attention", "note"])
def test_ordinary_words_get_no_hint(text: str) -> None:
    assert hint(text) is None


SAMPLE = """\
mmspec: 1  # a comment
streams:
  text: {from: text, width: 4*d}
  "joint":
    of:
      - text
      - image

heads: {}
"""


def test_spans_of_values_and_keys() -> None:
    document = parse(SAMPLE, "s.yaml")
    assert excerpt(document, document.span("streams", "text", "width")) == "4*d"
    assert excerpt(document, document.key_span("streams", "text", "width")) == "width"
    assert excerpt(document, document.span("streams", "text")) == "{from: text, width: 4*d}"
    assert excerpt(document, document.key_span("streams", "joint")) == '"joint"'
    assert excerpt(document, document.span("streams", "joint", "of", 1)) == "image"
    assert document.span("streams", "joint", "of") == Span("s.yaml", 6, 7, 7, 14)
    assert document.span() == Span("s.yaml", 1, 1, 9, 10)


def test_spans_of_what_is_missing_are_the_nearest_ancestors() -> None:
    document = parse(SAMPLE)
    assert document.span("streams", "text", "depth", 3) == document.span("streams", "text")
    assert document.key_span("streams", "nothing") == document.span("streams")
    assert document.span("nothing") == document.span()
    assert document.key_span("streams", "joint", "of", 1) == document.span(
        "streams", "joint", "of", 1
    )


def test_spans_count_characters_not_bytes() -> None:
    document = parse('é: {名: x, "日本": yy}\n')
    assert excerpt(document, document.span("é", "日本")) == "yy"


def test_the_span_of_a_block_scalar_ends_with_its_text() -> None:
    assert parse("a: |\n  x\n  y\nb: 1\n", "s.yaml").span("a") == Span("s.yaml", 1, 4, 3, 4)


def test_both_line_ends_are_read() -> None:
    assert parse("a: 1\r\nb: 2\r\n").data == {"a": 1, "b": 2}


def test_aliases_are_expanded_with_their_own_keys() -> None:
    document = parse("a: &x {w: [1, 2]}\nb: *x\n")
    assert document.data == {"a": {"w": [1, 2]}, "b": {"w": [1, 2]}}
    assert document.span("b", "w", 1) == document.span("a", "w", 1)


REFUSED = {
    "": ("MM004", 1, 1),
    "# only a comment\n": ("MM004", 1, 1),
    "---\n...\n": ("MM004", 1, 1),
    "a: 1\n---\nb: 2\n": ("MM005", 2, 1),
    "%YAML 1.1\n---\na: 1\n": ("MM006", 1, 1),
    "a: b: c\n": ("MM006", 1, 5),
    "a: 1\nb: 'x\n": ("MM006", 2, 4),
    "a: {b: 1\n\n": ("MM006", 1, 4),
    "a: 1\n\tb: 1\n": ("MM006", 2, 1),
    "a: @x\n": ("MM006", 1, 4),
    "- a\n": ("MM007", 1, 1),
    "text\n": ("MM007", 1, 1),
    "a: 1\nb: 2\na: 3\n": ("MM008", 3, 1),
    "a: {b: 1, 'b': 2}\n": ("MM008", 1, 11),
    "a: 1\n2: 3\n": ("MM009", 2, 1),
    "true: 1\n": ("MM009", 1, 1),
    "~: 1\n": ("MM009", 1, 1),
    "? [a]\n: 1\n": ("MM009", 1, 3),
    "a: !!python/object/apply:os.system [x]\n": ("MM010", 1, 4),
    "a: !!str 5\n": ("MM010", 1, 4),
    "a: ! 5\n": ("MM010", 1, 4),
    "a:\n  !x b: 1\n": ("MM010", 2, 3),
    "a: *x\n": ("MM011", 1, 4),
    "a: &x [1, *x]\n": ("MM011", 1, 11),
    "a: &x {b: *x}\n": ("MM011", 1, 11),
    "a: &x {b: 1}\nc:\n  <<: *x\n": ("MM012", 3, 3),
    "a: " + "[" * 70 + "]" * 70: ("MM013", 1, 68),
    "a: .inf\n": ("MM014", 1, 4),
    "a: -.INF\n": ("MM014", 1, 4),
    "a: .NaN\n": ("MM014", 1, 4),
    "a: 1e999\n": ("MM014", 1, 4),
    "a: " + "9" * 5000: ("MM014", 1, 4),
    "a: {mask: window(before=7, after: 7)}\n": ("MM015", 1, 11),
    "a: {mask: window(before=7, after=7}\n": ("MM015", 1, 11),
    "a: [flops(text=64, 'audio=2) <= 1e9']\n": ("MM015", 1, 5),
    "\ufeffa: 1\n": ("MM002", 1, 1),
    "a: 1\nb: \x00\n": ("MM003", 2, 4),
    "a: \x1b[2J\n": ("MM003", 1, 4),
    "a: x\u202ey\n": ("MM003", 1, 5),
    "a: 1\rb: 2\n": ("MM003", 1, 5),
    "a: \ud800\n": ("MM003", 1, 4),
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: ascii(text)[:30])
def test_refused_at_the_line(text: str) -> None:
    assert place(problems(text)[0]) == REFUSED[text]


def test_duplicates_name_both_lines_and_the_key() -> None:
    (found,) = problems("s:\n  a: 1\n  b: 2\n  a: 3\n")
    assert found.message == "`a` stands twice: on line 2 and on line 4"
    assert found.where == "s.a"


def test_all_problems_come_at_once() -> None:
    found = problems("a: .inf\na: 1\n3: 4\n<<: 5\n")
    assert [place(each)[:2] for each in found] == [
        ("MM014", 1),
        ("MM008", 2),
        ("MM009", 3),
        ("MM012", 4),
    ]


def test_commas_inside_parentheses_do_not_end_a_value() -> None:
    found = parse("a: {b: 1, m: window(before=7, after=7) | f(1, 2), c: 2}\n")
    assert found.data["a"] == {"b": 1, "m": "window(before=7, after=7) | f(1, 2)", "c": 2}
    span = found.span("a", "m")
    assert (span.column, span.end_column) == (14, 49)
    assert parse("a: [flops(x=64, y=2) <= 1e9, causal(x)]\n").data["a"] == [
        "flops(x=64, y=2) <= 1e9",
        "causal(x)",
    ]
    pairs = parse("a: {x -> x: window(before=1,\n  after=2), y -> x: full}\n")
    assert pairs.data["a"] == {"x -> x": "window(before=1, after=2)", "y -> x": "full"}


def test_a_value_cut_by_a_comma_is_shown_quoted() -> None:
    (found,) = problems("a: {b: 1, m: window(before=7, after: 7) | global(1), c: 2}\n")
    assert found.help == 'quote the value: "window(before=7, after: 7) | global(1)"'
    assert parse("a: {m: (causal), f: global(1)}\n").data["a"] == {
        "m": "(causal)",
        "f": "global(1)",
    }


def test_alias_bombs_are_bounded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for i in range(1, 30):
        lines.append(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]")
    assert problems("\n".join(lines))[0].code == "MM013"
    deep = ["a0: &a0 x"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 100)]
    assert problems("\n".join(deep))[0].code == "MM013"


def code_of_reading(path: Path) -> str:
    with pytest.raises(MmspecError) as caught:
        read(path)
    return caught.value.diagnostics[0].code


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert code_of_reading(tmp_path / "missing.yaml") == "MM001"
    assert code_of_reading(tmp_path) == "MM001"
    assert code_of_reading(Path("a\0b")) == "MM001"
    file = tmp_path / "s.yaml"
    file.write_bytes("a: 1\n".encode("utf-16"))
    assert code_of_reading(file) == "MM002"
    file.write_bytes(b"a: 1\n" * 300_000)
    assert code_of_reading(file) == "MM013"


def test_a_byte_that_is_not_utf8_is_placed(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_bytes("a: 1\né: ".encode() + b"\xff\n")
    with pytest.raises(MmspecError) as caught:
        read(file)
    assert place(caught.value.diagnostics[0]) == ("MM002", 2, 4)


def test_reading_a_file(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(SAMPLE, encoding="utf-8")
    assert read(file) == read(str(file))
    assert read(file).data == parse(SAMPLE).data
    assert read(file).span().path == str(file)


def test_the_example_of_the_language_page_is_read() -> None:
    page = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert example
    assert parse(example[1]).data["name"] == "gated"


YAMLISH = st.text(alphabet=st.sampled_from("ab1 \n\t:-[]{},'\"&*!|>%@#?~<.()\\é"), max_size=60)


@given(YAMLISH | st.text(max_size=30))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    try:
        document = parse(text, "s.yaml")
    except MmspecError as error:
        spans = [diagnostic.span for diagnostic in error.diagnostics]
    else:
        spans = [document.span()]
    lines = text.replace("\r\n", "\n").split("\n")
    for span in spans:
        assert span is not None
        assert 1 <= span.line <= span.end_line <= len(lines)
        assert 1 <= span.column <= len(lines[span.line - 1]) + 1


KEYS = st.text(alphabet="abc_", min_size=1, max_size=4)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | st.text(alphabet="ab 1.:-#'é", max_size=12)
)
TREES = st.dictionaries(
    KEYS,
    st.recursive(
        LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
    ),
    min_size=1,
    max_size=4,
)


@given(TREES, st.sampled_from([True, False, None]))
@example({"_": "-.1"}, None)
@example({"_": ["1e5", "0x1F", "010"]}, True)
def test_what_another_library_writes_is_read_back(tree: dict[str, Any], style: bool | None) -> None:
    """But text that it writes without quotes, and YAML 1.2 reads as a number, is that number."""
    text = yaml.safe_dump(tree, default_flow_style=style, allow_unicode=True, sort_keys=False)
    assert parse(text).data == as_read(tree)


def as_read(tree: Any) -> Any:
    """A tree whose text that PyYAML leaves unquoted is what YAML 1.2 says."""
    if isinstance(tree, dict):
        return {key: as_read(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [as_read(value) for value in tree]
    if not isinstance(tree, str) or not NUMBER.fullmatch(tree) or OURS.fullmatch(tree):
        return tree
    return float(tree) if yaml.safe_load(tree) == tree else tree


@given(TREES | st.dictionaries(KEYS, st.text(alphabet="01.-+eEx_:~", max_size=6)))
@example({"_": "-.1", "a": ["1e5", ".inf", "-.NaN", "~", "", "1e999", "010", "12:30", "no"]})
def test_what_is_written_is_read_back(tree: dict[str, Any]) -> None:
    assert parse(dump(tree)).data == tree


# YAML 1.2.2, chapter 10.3.2, as it stands there
NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
CORE = re.compile(
    r"null|Null|NULL|~||true|True|TRUE|false|False|FALSE|[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"
    rf"|{NUMBER.pattern}|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
OURS = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+|[-+]?0[0-9]+.*")
"""What is text here for lack of one meaning to people: other bases and leading zeros."""


def test_every_short_scalar_means_what_yaml_1_2_says() -> None:
    """All texts of up to four of these characters, and what each is but text."""
    words = [
        "".join(word)
        for size in range(5)
        for word in itertools.product("0179.-+eExo_:~", repeat=size)
    ]
    found = {word for word in words if needs_quotes(word)}
    expected = {word for word in words if CORE.fullmatch(word) and not OURS.fullmatch(word)}
    assert found == expected
    assert len(expected) > 1000
    texts = [word for word in words if CORE.fullmatch(word) and OURS.fullmatch(word)]
    assert all(hint(word) or re.search("[eE]", word) for word in texts)
    assert parse(dump({"_": words[:3000]})).data == {"_": words[:3000]}


REFUSED_HERE = object()
TWO_VERSIONS = [
    # the text, what it is to YAML 1.1 (PyYAML), and what it is in a spec
    *[("-.1", "-.1", -0.1), ("+.5", "+.5", 0.5), (".5", 0.5, 0.5), ("5.", 5.0, 5.0)],
    *[
        ("1e5", "1e5", 1e5),
        ("1E-5", "1E-5", 1e-5),
        ("1.e5", "1.e5", 1e5),
        ("1.5e+3", 1500.0, 1500.0),
    ],
    *[("0o17", "0o17", "0o17"), ("010", 8, "010"), ("08", "08", "08"), ("-012", -10, "-012")],
    *[
        ("0x1F", 31, "0x1F"),
        ("0b11", 3, "0b11"),
        ("1_000", 1000, "1_000"),
        ("1_0.5", 10.5, "1_0.5"),
    ],
    *[("12:30", 750, "12:30"), ("1:20:30", 4830, "1:20:30"), ("1:30.5", 90.5, "1:30.5")],
    *[("~", None, None), ("NULL", None, None), ("nULL", "nULL", "nULL"), ("None", "None", "None")],
    *[("True", True, True), ("tRUE", "tRUE", "tRUE"), ("yes", True, "yes"), ("No", False, "No")],
    *[("on", True, "on"), ("OFF", False, "OFF"), ("y", "y", "y"), ("n", "n", "n")],
    *[(".inf", float("inf"), REFUSED_HERE), ("-.INF", -float("inf"), REFUSED_HERE)],
    *[("1e999", "1e999", REFUSED_HERE), ("+.inf", float("inf"), REFUSED_HERE)],
    *[("2024-01-01", date(2024, 1, 1), "2024-01-01"), ("+12", 12, 12), ("-0", 0, 0)],
    *[("e5", "e5", "e5"), (".e5", ".e5", ".e5"), ("1e", "1e", "1e"), ("1 000", "1 000", "1 000")],
]


@pytest.mark.parametrize(("text", "old", "new"), TWO_VERSIONS, ids=[t for t, _, _ in TWO_VERSIONS])
def test_what_two_versions_of_yaml_say(text: str, old: Any, new: Any) -> None:
    loaded = yaml.safe_load(f"a: {text}")["a"]
    assert loaded == old and type(loaded) is type(old)
    if new is REFUSED_HERE:
        assert problems(f"a: {text}")[0].code == "MM014"
    else:
        found = parse(f"a: {text}").data["a"]
        assert found == new and type(found) is type(new)
    assert parse(dump({"a": text})).data == {"a": text}


def test_words_about_a_spec_that_look_like_a_number_stay_text() -> None:
    """A package holds its spec, which must be read again."""
    page = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    example_spec = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert example_spec
    for about in ("-.1", "1e5", "12", "no", "~", ".inf", "a: b", "# x"):
        text = example_spec[1].replace("image and text joined by learned gates", f"'{about}'")
        spec = validate(parse(text))
        assert validate(parse(dump_spec(spec))).about == spec.about == about
