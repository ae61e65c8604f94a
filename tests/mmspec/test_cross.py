"""A `cross`: what it reads, what it takes over, and what does not fit."""

from __future__ import annotations

import pytest

from mmspec.compiler.lower.lower import lower
from mmspec.diagnostics import MmspecError
from mmspec.schema.attention import FULL
from mmspec.schema.resolved import dump
from mmspec.schema.spec import Spec
from mmspec.schema.validate import validate
from mmspec.schema.wiring import resolve
from mmspec.text import parse

BODY = """\
mmspec: 1
name: small
modalities:
  text: {{kind: tokens, vocab: 7, length: {{max: 9}}}}
  image: {{kind: image, size: [4, 4], patch: 2}}
streams:
  words:
    {{from: text, width: 12, depth: 2, heads: 4, scores: {{relative: alibi, sink: true}},
     attention: causal, block: [{entry}, feed_forward]}}
  seen: {{from: image, width: 6, depth: 1, heads: 2{more}}}
heads:
  next: {{from: words, kind: language-model}}
"""


def made(entry: str, more: str = "") -> Spec:
    return validate(parse(BODY.format(entry=entry, more=more), "small.yaml"))


def test_it_takes_heads_and_scores_over_but_no_mask_and_no_relative_scores() -> None:
    spec = made("{cross: seen, norm_keys: true, heads: 2}")
    assert validate(parse(dump(spec), "again.yaml")).streams == spec.streams
    one, _ = spec.streams["words"].sublayers
    assert (one.name, one.cross, one.norm_keys) == ("cross", "seen", True)
    assert (one.of.heads, one.of.kv_heads, one.of.head_width) == (2, 2, 6)
    assert one.of.scores is not None and one.of.scores.sink and one.of.scores.relative is None
    assert one.of.turning is None and one.of.attention is FULL


def test_what_is_read_comes_before_what_reads_it() -> None:
    wiring = resolve(made("{parallel: [attention, {cross: seen}]}"))
    assert wiring.order == ("seen", "words")
    assert wiring.crossed == {"words": ("seen",), "seen": ()}
    assert wiring.readers("seen", is_stream=True) == ("words",)
    assert [source.name for source in wiring.sources["words"]] == ["text"]


def test_rows_that_see_their_own_targets_through_another_stream_are_refused() -> None:
    """The other stream reads the same text, and looks ahead."""
    text = BODY.format(entry="attention, {cross: seen}", more="").replace(
        "from: image", "from: text"
    )
    text = text.replace("  image: {kind: image, size: [4, 4], patch: 2}\n", "")
    text = text.replace("language-model}", "language-model, tied: false}")
    with pytest.raises(MmspecError) as caught:
        lower(validate(parse(text, "small.yaml")))
    (found,) = caught.value.diagnostics
    assert found.code == "MM324" and "of stream `seen`" in found.message


@pytest.mark.parametrize(
    ("entry", "more", "code", "words"),
    [
        ("cross", "", "MM329", "write {cross: ...}"),
        ("{cross: sean}", "", "MM301", "did you mean `seen`?"),
        ("{cross: words}", "", "MM301", "no other stream; streams: seen"),
        ("{cross: image}", "", "MM301", "`{from: image, ...}`"),
        ("{cross: [seen, words]}", "", "MM330", "names one stream"),
        ("{cross: {of: seen, after: 3}}", "", "MM330", "names one stream"),
        ("{cross: seen, mask: causal}", "", "MM330", "leave `mask` out"),
        ("{cross: seen, attention: causal}", "", "MM329", "names attention and cross"),
        ("{cross: seen, rotary: none}", "", "MM101", "unknown key `rotary`"),
        ("{cross: seen, scores: {relative: alibi}}", "", "MM330", "no common line"),
        ("{cross: seen, norm: none, norm_keys: true}", "", "MM330", "norm of keys"),
        ("{cross: seen, norm: group(4), norm_keys: true}", "", "MM330", "keys from stream `seen`"),
        ("{cross: seen, heads: 5}", "", "MM105", "not a multiple"),
        ("{cross: seen}", ", block: [{cross: words}]", "MM302", "words -> seen -> words"),
    ],
)
def test_what_does_not_fit_is_told_at_its_line(
    entry: str, more: str, code: str, words: str
) -> None:
    with pytest.raises(MmspecError) as caught:
        resolve(made(entry, more))
    (found,) = caught.value.diagnostics
    assert found.code == code and words in f"{found.message}; {found.help}"
    assert found.span is not None and found.span.line == 9
