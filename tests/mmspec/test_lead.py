"""Tokens in front, what is added, pools and steps: what is refused, and what to write."""

from __future__ import annotations

import pytest

from mmspec.compiler.emit.decodable import refusal
from mmspec.compiler.lower.lower import lower
from mmspec.diagnostics import MmspecError
from mmspec.schema.spec import Spec
from mmspec.schema.validate import validate
from mmspec.text.document import parse

SPEC = """\
mmspec: 1
name: fronted
modalities:
  image: {kind: image, size: [4, 6], patch: 2, lead: {cls: 1, note: 2}}
  text: {kind: tokens, vocab: 7, length: {max: 5}, add: {segment: {categories: 2}}}
streams:
  image: {from: image, depth: 1, width: 6, heads: 2}
  joint:
    from: [image, text]
    depth: 1
    width: 6
    heads: 2
    attention: {text -> text: causal, text -> image.cls: full}
heads:
  label: {from: image, kind: classifier, classes: 2, pool: cls, through: [linear(4), norm, tanh]}
  next: {from: joint, kind: language-model}
"""


def spec(*edits: tuple[str, str]) -> Spec:
    text = SPEC
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new)
    return validate(parse(text, "s.yaml"))


REFUSED = {
    "a pool of no lead": ("pool: cls", "pool: clss", "MM331", "did you mean `cls`?"),
    "a pool of a stream without one": ("pool: cls", "pool: start", "MM331", "known: mean, first"),
    "a name that is taken": ("lead: {cls: 1", "lead: {mean: 1, cls: 1", "MM331", "as to cls"),
    "weights by modality": (
        "width: 6, heads: 2}",
        "width: 6, heads: 2, feed_forward: {kind: by-modality}}",
        "MM331",
        "leave `lead` out",
    ),
    "a mark of what has no ids": ("pool: cls", "pool: marked(3)", "MM331", "write first"),
    "a mark without an id": ("pool: cls", "pool: marked()", "MM105", "marked(49407)"),
    "an addition of neither kind": ("{categories: 2}", "two", "MM103", "{numbers: N}"),
    "a key of no addition": ("{categories: 2}", "{codes: 2}", "MM102", "categories"),
    "a step that is none": ("tanh]", "tan]", "MM103", "tanh"),
    "a linear without a size": ("linear(4)", "linear", "MM102", "linear("),
    "a pair of a lead that is none": (
        "text -> image.cls",
        "text -> image.cl",
        "MM310",
        "image.cls",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_says_what_to_write(what: str) -> None:
    old, new, code, advice = REFUSED[what]
    with pytest.raises(MmspecError) as caught:
        spec((old, new))
    found = caught.value.diagnostics[0]
    assert found.code == code
    assert advice in f"{found.message} {found.help}"


def test_packed_documents_have_no_lead() -> None:
    lead = ("add: {segment: {categories: 2}}}", "lead: {start: 1}}")
    with pytest.raises(MmspecError, match="packed documents would share"):
        spec(lead, ("text -> text: causal", "text -> text: causal & document"))


def test_steps_of_heads_read_no_grid() -> None:
    with pytest.raises(MmspecError, match="MM332"):
        spec(("norm, tanh", "mean(kernel=3), tanh"))


def test_what_is_behind_a_lead_is_not_decoded_but_what_reads_one_is() -> None:
    plan = lower(spec())
    assert refusal(plan, plan.heads[1]) is None
    led = lower(spec(("add: {segment: {categories: 2}}}", "lead: {start: 1}}")))
    assert "learned tokens lead those of text" in str(refusal(led, led.heads[1]))
