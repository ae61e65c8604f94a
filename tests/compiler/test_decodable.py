"""Which models decode, and why the others do not; names of a spec and of decoding never meet."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
import torch
from decoding_case import Case, compiled, loaded

from mmspec.compiler.emit.decodable import decoding, refusal
from mmspec.compiler.lower import objective
from mmspec.compiler.lower.lower import lower
from mmspec.diagnostics import MmspecError
from mmspec.schema.names import ENDINGS
from mmspec.schema.validate import validate
from mmspec.text import parse

SPEC = """
mmspec: 1
name: tried
modalities:
  text: {kind: tokens, vocab: 11, length: {max: 9}}
  note: {kind: tokens, vocab: 7, length: {max: 9}}
  image: {kind: image, size: [4, 6], channels: 1, patch: 2}
streams:
  text: {from: text, depth: 2, width: 8, heads: 2, attention: causal}
  image: {from: image, depth: 1, width: 8, heads: 2}
  note: {from: note, depth: 1, width: 8, heads: 2}
  last: {from: FROM, depth: DEPTH, width: 8, heads: 2, attention: ATTENTION, HALTING}
heads:
  next: {from: last, kind: language-model, modality: text}
  label: {from: image, kind: classifier, classes: 3}
  value: {from: note, kind: regressor, outputs: 1}
"""


def spec(
    source: str, attention: str = "causal", depth: int = 2, halting: str = "halting: none"
) -> str:
    """The spec with a last stream."""
    text = SPEC.replace("FROM", source).replace("ATTENTION", attention)
    text = text.replace("DEPTH", str(depth))
    return text.replace(", HALTING", "" if halting == "halting: none" else f", {halting}")


def both(source: str, said: str = "causal") -> str:
    """The spec with a stream `image` that holds the text too, and `last` of one layer."""
    text = SPEC.replace("image: {from: image,", "image: {from: [image, text],")
    text = text.replace("FROM", source).replace("ATTENTION, HALTING", said)
    return text.replace("DEPTH", "1")


SEES = "text -> text: causal, text -> image: full, image -> image: full"
DECODES = {
    "text": "causal",
    "[text, image]": f"{{{SEES}}}",
    "[image, text]": "causal",
    "[text, note]": "{text -> text: window(before=2), text -> note: causal, note -> note: full}",
    "{fusion: concat, of: [image, text]}": f"{{{SEES}}}",
    "{fusion: cross-attention, of: [text, image]}": "causal",
    "{fusion: cross-attention, of: [text, image], attention: none}": "causal & random(1)",
    "{fusion: film, of: [text, image]}": "causal",
    "{fusion: film, of: [text, note, image]}": "window(before=2)",
}


@pytest.mark.parametrize("source", DECODES)
def test_it_decodes(source: str) -> None:
    package = compiled(spec(source, DECODES[source]))
    assert "def decode(model: Tried, ids_bc" in package.files["decoding.py"]


LEAK = "image -> image: full, image -> text: causal & prefix(1)"
REFUSED = {
    "a mask that looks ahead": (
        spec("text", "causal | prefix(2)"),
        "text sees text in stream `last` by `causal | prefix(length=2)`, which looks ahead",
    ),
    "full attention": (spec("text", "full"), "looks ahead"),
    "the context sees the text": (
        spec("[text, image]", "{text -> text: causal, text -> image: full, image -> text: full}"),
        "image sees text in stream `last`, so what image says changes with each token",
    ),
    "a gated fusion": (
        spec("{fusion: gated, of: [text, image]}", f"{{{SEES}}}"),
        "the gated fusion of stream `last` reads all tokens at once",
    ),
    "film by what comes with it": (
        both("{fusion: film, of: [text, note, image]}"),
        "the film fusion of stream `last` reads all tokens at once",
    ),
    "a transformer fusion": (
        spec("{fusion: transformer, of: [text, image]}", f"{{{SEES}}}"),
        "the transformer fusion of stream `last`",
    ),
    "pondering": (
        spec("text", halting="halting: {kind: ponder, at_most: 2, prior: 0.5}"),
        "the pondering of stream `last` reads all tokens",
    ),
    "packed documents": (
        spec("text", "causal & document"),
        "text sees text in stream `last` by documents, which come with a whole batch",
    ),
    "several that layers read of others": (
        spec("text").replace(
            "attention: causal",
            "attention: causal, block: [attention, {cross: image}, {cross: image}]",
        ),
        "layers of stream `last` read others more than once",
    ),
    "a stream that reads the same text": (
        both("text", "causal, block: [attention, {cross: image}]"),
        "image sees text in stream `image`",
    ),
    "a context of the same text": (
        both("{fusion: cross-attention, of: [text, image]}"),
        "image sees text in stream `image`",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_does_not_and_says_why(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of these are refused before, as their rows see what they are trained to predict."""
    text, why = REFUSED[name]
    monkeypatch.setattr(objective, "told", lambda *_: "")
    plan = lower(validate(parse(text)))
    found = refusal(plan, plan.heads[0])
    assert found is not None and why in found
    assert decoding(plan) is None
    assert "decoding.py" not in compiled(text).files


def test_what_changes_after_the_last_layer_that_reads_it_is_no_obstacle() -> None:
    pairs = "{text -> text: causal, text -> image: full, image -> text: full}"
    plan = lower(validate(parse(spec("[text, image]", pairs, depth=1))))
    assert decoding(plan) is not None


NAMES = """
mmspec: 1
name: named
modalities:
  MOD: {kind: image, size: [4, 6], channels: 1, patch: 2}
  SND: {kind: audio, features: 3, rate: 100 Hz, patch: 2, length: {max: 14}, optional: true}
  text: {kind: tokens, vocab: 11, length: {max: 19}, position: rotary}
streams:
  STR:
    from: [MOD, text]
    depth: 1
    width: 8
    heads: 2
    attention: {text -> text: window(before=2), text -> MOD: full, MOD -> MOD: full}
  TON: {from: {fusion: film, of: [STR, SND]}, depth: 1, width: 8, heads: 1,
    attention: {text -> text: causal, MOD -> MOD: full}}
  last: {from: {fusion: cross-attention, of: [TON, SND]}, depth: 1, width: 8, heads: 1,
    attention: {text -> text: causal, MOD -> MOD: full, text -> MOD: prefix(2)}}
heads: {next: {from: last, kind: language-model}}
"""


PLACES = ("MOD", "STR", "SND", "TON")


def written(*called: str) -> str:
    """A model that decodes, its modalities and streams called so."""
    text = NAMES
    for place, name in zip(PLACES, called, strict=True):
        text = text.replace(place, name)
    return text


def named(*called: str) -> Case:
    """The same, compiled."""
    pixels = torch.linspace(-1, 1, 48, dtype=torch.float64).view(2, 1, 4, 6)
    sound = torch.linspace(-1, 1, 66, dtype=torch.float64).view(2, 11, 3)
    given = {called[0]: pixels, called[2]: sound}
    lengths = {called[2]: torch.tensor([11, 6])}
    return loaded(compiled(written(*called)), 11, {**given, "lengths": lengths}, 2)


def words() -> list[str]:
    """Every name in the decoding of such a model, but for those of other specs' words."""
    text = compiled(written("image", "joint", "sound", "toned")).files["decoding.py"]
    fields = ("id", "name", "arg", "asname")
    every = (getattr(node, field, None) for node in ast.walk(ast.parse(text)) for field in fields)
    found = {name for name in every if isinstance(name, str)}
    return sorted(
        name
        for name in found - {"text", "sound", "toned", "last", "next"}
        if re.fullmatch("[a-z][a-z0-9_]*", name) and not ENDINGS.search(name)
    )


def refused(word: str) -> bool:
    """Whether a stream may not be called so, which must then be said."""
    try:
        validate(parse(written("image", word, "sound", "toned")))
    except MmspecError as error:
        assert {each.code for each in error.diagnostics} <= {"MM104", "MM105"}
        return True
    return False


def test_parts_of_a_spec_may_be_called_like_what_is_written_or_may_not() -> None:
    """Every word is a modality or a stream; four of them in a package."""
    prompt = torch.tensor([5, 3])
    plain = named("image", "joint", "sound", "toned").decoded(prompt, [1, 4])
    found = words()
    assert {"take_keys", "recorders", "kept", "following", "known", "layer"} <= set(found)
    free = [word for word in found if not refused(word)]
    assert len(free) > 20
    while len(free) % 4:
        free.append(f"other{len(free)}")
    for called in batched(free, 4):
        decoded = named(*called).decoded(prompt, [1, 4])
        assert torch.allclose(decoded, plain, rtol=1e-9, atol=1e-9), called


def batched(words: list[str], count: int) -> Iterator[tuple[str, ...]]:
    yield from zip(*(words[at::count] for at in range(count)), strict=True)
