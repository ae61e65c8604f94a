"""What people get wrong in a spec: each is refused at its own word, and told what to write."""

from __future__ import annotations

import time

import pytest

from mmspec.codes import CODES
from mmspec.diagnostics import Diagnostic, MmspecError
from mmspec.schema.validate import validate
from mmspec.text import parse

SPEC = """\
mmspec: 1
name: sample
dims: {d: 64}
modalities:
  image: {kind: image, size: [64, 48], patch: 8, position: sincos-2d}
  text: {kind: tokens, vocab: 97, length: {max: 40}}
  sound: {kind: audio, features: 20, rate: 100 Hz, length: {max: 50}}
streams:
  image: {from: image, depth: 2, width: d, heads: 4}
  text:
    from: text
    depth: 3
    width: 2*d
    heads: 8
    attention: window(before=8, after=7) | global(1)
    feed_forward: {kind: experts, experts: 5, choose: 2}
  sound: {from: sound, depth: 1, width: 24, heads: 2}
  joint:
    from: {fusion: gated, of: [image, text, sound]}
    depth: 1
    width: d
    heads: 4
    attention: {text -> text: causal, text -> image: full}
heads:
  label: {from: joint, kind: classifier, classes: 9}
claims:
  - params <= 2M
  - no flow from image to text
"""

MISTAKES = [
    # what is written, instead of what; the code, the words under the caret, a part of the help
    ("depth: 3", "dept: 3", "MM101", "dept", "did you mean `depth`?"),
    ("modalities:", "modalites:", "MM101", "modalites", "did you mean `modalities`?"),
    ("kind: tokens", "kin: tokens", "MM101", "kin", "did you mean `kind`?"),
    ("classes: 9", "classes: 9, color: red", "MM101", "color", "remove it"),
    ("    heads: 8\n", "", "MM102", None, "add `heads: ...`"),
    ("kind: image, ", "", "MM102", None, "add `kind: ...`"),
    ("classifier", "clasifier", "MM103", "clasifier", "did you mean `classifier`?"),
    ("kind: image", "kind: imagee", "MM103", "imagee", "did you mean `image`?"),
    ("fusion: gated", "fusion: gatde", "MM103", "gatde", "did you mean `gated`?"),
    ("mmspec: 1", "mmspec: 2", "MM103", "2", "write `mmspec: 1`"),
    ("mmspec: 1", 'mmspec: "1"', "MM104", '"1"', "write `mmspec: 1`"),
    ("mmspec: 1", "mmspec: true", "MM104", "true", "write `mmspec: 1`"),
    ("classes: 9", "classes: nine", "MM202", "nine", "dims: d"),
    ("classes: 9", "classes: [9]", "MM104", "[9]", ""),
    ("dims: {d: 64}", "dims: 64", "MM104", "64", ""),
    ("d: 64", "d: true", "MM104", "true", ""),
    ("d: 64", "d: 6.4", "MM104", "6.4", ""),
    ("{from: image,", "{from: 3,", "MM104", "3", "write a modality, a stream"),
    ("window(before=8, after=7) | global(1)", "[full]", "MM104", "full", "{heads: ..., mask: ..."),
    ("window(before=8, after=7) | global(1)", "{mask: full}", "MM223", None, "`text -> image`"),
    ("text -> image: full", "text->text: full", "MM223", "text->text", "keep one of them"),
    ("text: {kind", "self: {kind", "MM105", "self", "choose another name"),
    ("image, text, sound]}", "image, text, sound], queries: 3}", "MM101", "queries", "remove it"),
    (
        "kind: audio, features: 20, rate: 100 Hz, length: {max: 50}",
        "kind: table, columns: {a: text}",
        "MM103",
        "text",
        "{categories: N}",
    ),
    ("{max: 40}", "40", "MM104", "40", "write {max: ...}"),
    ("size: [64, 48]", "size: 64", "MM104", "64", ""),
    ("size: [64, 48]", "size: [64]", "MM104", "[64]", "one value more"),
    ("size: [64, 48]", "size: [64, 48, 3]", "MM104", "[64, 48, 3]", ""),
    ("of: [image, text, sound]", "of: [joint]", "MM104", "[joint]", ""),
    ("heads: 8", "heads: 8\n    bias: yes", "MM104", "yes", "write true"),
    ("heads: 8", "heads: 8\n    dropout: 2", "MM104", "2", ""),
    ("heads: 8", "heads: 8\n    halting: ponder", "MM104", "ponder", "write {kind: ...}"),
    ("name: sample", "name: Sample", "MM105", "Sample", ""),
    ("heads: 8", "heads: 7", "MM105", "7", "8 heads fit"),
    ("heads: 8", "heads: 8\n    kv_heads: 3", "MM105", "3", "2 kv_heads fit"),
    ("patch: 8", "patch: 9", "MM105", "9", "a patch of 8 does"),
    (
        "kind: audio, features: 20, rate: 100 Hz",
        "kind: video, size: [30, 20], patch: 3, rate: 25 Hz",
        "MM105",
        "3",
        "a patch of 2 does",
    ),
    (
        "kind: audio, features: 20, rate: 100 Hz",
        "kind: video, size: [30, 20], patch: 5",
        "MM102",
        None,
        "add `rate: ...`",
    ),
    ("choose: 2", "choose: 6", "MM105", "6", "choose at most 5"),
    ("100 Hz", "100", "MM105", "100", "write `100 Hz`"),
    ("text -> image: full", "text -> image: [full]", "MM105", "[full]", ""),
    ("width: 2*d", "width: 2d", "MM201", "d", "such as 4*d"),
    ("width: 2*d", "width: 2*e", "MM202", "e", "dims: d"),
    ("depth: 3", "depth: 0", "MM203", "0", ""),
    ("depth: 3", "depth: 1000000", "MM105", "1000000", ""),
    ("d: 64", "d: 6x4", "MM201", "x4", "such as 4*d"),
    ("100 Hz", "100 Hx", "MM210", "Hx", ""),
    ("| global(1)", "| (global(1)", "MM220", "", ""),
    ("window(", "windw(", "MM221", "windw", "did you mean `window`?"),
    ("before=8", "befor=8", "MM222", "befor", "window(before=8, after=8)"),
    ("window(before=8, after=7)", "window(8)", "MM222", "window", "window(before=7)"),
    ("text -> image: full", "text to image: full", "MM223", "to", "`text -> image`"),
    ("params <= 2M", "params ! 2M", "MM200", "!", ""),
    ("params <= 2M", "params is 2M", "MM230", "is", ""),
    ("params <= 2M", "speed <= 2M", "MM231", "speed", "claims begin with"),
    ("of: [image,", "of: [imag,", "MM301", "imag", "did you mean `image`?"),
    ("{from: image,", "{from: joint,", "MM302", "joint", ""),
    ("of: [image, text, sound]", "of: [image, text]", "MM307", "sound", "or remove it"),
    ("text -> image: full", "text -> imge: full", "MM310", "imge", "did you mean `image`?"),
    ("text -> image: full", "text -> image: full & causal", "MM311", "causal", "by pair"),
    ("from: joint", "from: joynt", "MM315", "joynt", "did you mean `joint`?"),
    ("claims:", "objectives: {labl: {weight: 2}}\nclaims:", "MM319", "labl", "heads: label"),
    ("from image to", "from imag to", "MM321", "imag", "did you mean `image`?"),
    ("window(before=8, after=7)", "routed(blocks=4)", "MM401", "routed", "compiled today"),
    ("  label: {from", "  text: {from", "MM323", "text", "remove it from the inputs"),
    ("text -> text: causal", "text -> text: within(2 ms)", "MM311", "within", "without times"),
]


def problems(text: str) -> tuple[Diagnostic, ...]:
    """What is wrong with a spec."""
    with pytest.raises(MmspecError) as caught:
        validate(parse(text, "sample.yaml"))
    return caught.value.diagnostics


def pointed_at(text: str, problem: Diagnostic) -> str:
    """The words under the caret."""
    span = problem.span
    assert span is not None
    assert span.line == span.end_line
    return text.split("\n")[span.line - 1][span.column - 1 : span.end_column - 1]


def test_the_sample_is_valid() -> None:
    assert validate(parse(SPEC)).name == "sample"


@pytest.mark.parametrize(
    ("right", "wrong", "code", "words", "advice"), MISTAKES, ids=[row[1][:30] for row in MISTAKES]
)
def test_a_mistake_is_one_problem_at_its_word(
    right: str, wrong: str, code: str, words: str | None, advice: str
) -> None:
    assert right in SPEC
    text = SPEC.replace(right, wrong, 1)
    found = problems(text)
    assert [problem.code for problem in found] == [code], [str(problem) for problem in found]
    assert words is None or pointed_at(text, found[0]) == words
    assert advice in found[0].help


TARGETS = [
    # a head by name and kind, and whether what it is trained on is an input
    *[("text", "kind: classifier, classes: 9", True), ("row", "kind: regressor, outputs: 2", True)],
    *[
        ("age", "kind: classifier, classes: 9", True),
        ("size_of", "kind: regressor, outputs: 1", True),
    ],
    *[
        ("other", "kind: regressor, outputs: 1", False),
        ("joint", "kind: classifier, classes: 2", False),
    ],
    *[
        ("text", "kind: language-model, modality: text", False),
        ("age", "kind: language-model", False),
    ],
    *[
        ("row", "kind: contrastive, width: 4", False),
        ("size_of", "kind: contrastive, width: 4", False),
    ],
]


@pytest.mark.parametrize(("name", "head", "is_input"), TARGETS)
@pytest.mark.parametrize("reader", ["joint", "apart"])
def test_no_column_is_an_input_and_a_target(
    name: str, head: str, is_input: bool, reader: str
) -> None:
    """Whether the head's stream reads it or another does; masked losses take no column."""
    source = "[joint, apart]" if "contrastive" in head else reader
    text = f"""\
mmspec: 1
name: sample
modalities:
  text: {{kind: tokens, vocab: 97, length: {{max: 40}}}}
  row: {{kind: table, columns: {{age: number, size_of: {{categories: 3}}}}}}
streams:
  joint: {{from: [text, row], depth: 1, width: 8, heads: 2}}
  apart: {{from: text, depth: 1, width: 8, heads: 2}}
heads:
  always: {{from: [joint, apart], kind: contrastive, width: 4}}
  {name}: {{from: {source}, {head}{", tied: false" if "language" in head else ""}}}
"""
    if not is_input:
        assert name in validate(parse(text)).heads
        return
    (found,) = problems(text)
    assert found.code == "MM323" and pointed_at(text, found) == name
    assert f"head `{name}` is trained on the column `{name}`" in found.message
    assert "rename one of them" in found.help


def test_several_mistakes_come_in_the_order_of_the_text() -> None:
    text = SPEC.replace("classes: 9", "classes: x").replace("depth: 3", "dept: 3")
    text = text.replace("patch: 8", "patch: 9")
    assert [problem.code for problem in problems(text)] == ["MM105", "MM101", "MM202"]


def test_an_unknown_key_does_not_hide_a_missing_one() -> None:
    found = problems(SPEC.replace("depth: 3", "colour: 3"))
    assert [problem.code for problem in found] == ["MM102", "MM101"]


def test_words_are_found_in_values_of_several_lines() -> None:
    text = SPEC.replace(
        "[image, text, sound]", "\n      - image\n      - texd\n      - sound\n    "
    ).replace("{fusion: gated, of:", "\n      fusion: gated\n      of:")
    text = text.replace("    }\n", "\n")
    found = problems(text)
    assert [problem.code for problem in found] == ["MM301"]
    assert pointed_at(text, found[0]) == "texd"


def test_a_spec_of_nothing_but_mistakes_is_answered_soon() -> None:
    text = SPEC + "".join(f"k{number}: 1\n" for number in range(20_000))
    start = time.process_time()
    assert len(problems(text)) == 200
    assert time.process_time() - start < 5


def test_any_name_may_be_a_dim_for_no_python_is_made_of_it() -> None:
    text = SPEC.replace("dims: {d: 64}", "dims: {d: 64, heads: 8, class: 9, q: 2*heads}")
    text = text.replace("heads: 8\n", "heads: heads\n").replace("classes: 9", "classes: class")
    spec = validate(parse(text))
    assert spec.streams["text"].heads == 8
    assert spec.dims["q"] == 16


def test_quoted_expressions_keep_their_columns() -> None:
    text = SPEC.replace("window(before=8, after=7) | global(1)", '"causal & windw(before=8)"')
    assert pointed_at(text, problems(text)[0]) == "windw"


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ("classes: 9}", "classes: 9", "close the bracket of line 25"),
        ("    depth: 3", "\tdepth: 3", "indent with spaces"),
        ("name: sample", "name: a: b", "quote a value that holds"),
        ("name: sample", 'name: "sample', "close the quote"),
    ],
)
def test_what_is_not_yaml_says_how_to_mend_it(right: str, wrong: str, words: str) -> None:
    (found,) = problems(SPEC.replace(right, wrong, 1))
    assert found.code == "MM006"
    assert words in found.help


def test_every_code_of_the_schema_and_of_expressions_is_met() -> None:
    met = {code for _, _, code, _, _ in MISTAKES}
    assert {code for code in CODES if code.startswith(("MM1", "MM2"))} <= met
