"""No name that a spec may use meets a name that the compiler writes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import zip_longest
from typing import Any

import pytest
import torch
from torch import nn

from mmspec.compiler.emit.emit import emit
from mmspec.compiler.emit.package import Package
from mmspec.compiler.load import load
from mmspec.compiler.lower.lower import lower
from mmspec.diagnostics import MmspecError
from mmspec.schema.names import ENDINGS
from mmspec.schema.validate import validate
from mmspec.text import parse

SPEC = """
mmspec: 1
name: "NAME"
modalities:
  MOD: {kind: tokens, vocab: 11, length: {max: 7}, optional: true}
  pic: {kind: image, size: [4, 6], channels: 1, patch: 2}
streams:
  MOD: {from: MOD, depth: 1, width: 6, heads: 1, attention: causal}
  STR:
    from: {fusion: gated, of: [MOD, pic]}
    depth: 1
    width: 6
    heads: 1
    attention: {MOD -> MOD: "window(before=1, after=2) | global(1)", pic -> MOD: full}
    feed_forward: {kind: experts, experts: 3, choose: 2, balance: 0.1}
    halting: {kind: ponder, at_most: 2, prior: 0.5}
  last:
    from: {fusion: attention, of: [STR], queries: 2}
    depth: 1
    width: 6
    heads: 1
    feed_forward: {kind: by-modality}
  away: {from: pic, depth: 2, width: 6, heads: 1, halting: {kind: exit, head: HEAD, threshold: 1}}
heads:
  HEAD: {from: away, kind: classifier, classes: 3}
  number: {from: last, kind: regressor, outputs: 1}
  word: {from: MOD, kind: language-model}
  pair: {from: [MOD, last], kind: contrastive, width: 5}
objectives: {number: {weight: 0.5}}
"""
"""Almost everything that the compiler writes, in one model."""

PLAIN = {"NAME": "whole", "MOD": "text", "STR": "joint", "HEAD": "label"}


def spec(**words: str) -> str:
    """SPEC with some of its words replaced."""
    return re.sub("|".join(PLAIN), lambda found: {**PLAIN, **words}[found[0]], SPEC)


@lru_cache
def package(**words: str) -> Package:
    """The same, compiled."""
    found = validate(parse(spec(**words)))
    return emit(lower(found), found)


def loss(**words: str) -> float:
    """Its loss on one batch; the same whatever the words are."""
    given = {**PLAIN, **words}
    torch.manual_seed(0)
    model: nn.Module = load(package(**words))()
    ids, pixels = torch.arange(10).view(2, 5), torch.linspace(0, 1, 48).view(2, 1, 4, 6)
    targets = {given["HEAD"]: torch.tensor([0, 1]), "number": torch.zeros(2, 1)}
    inputs: dict[str, Any] = {given["MOD"]: ids, "pic": pixels}
    with pytest.raises(ValueError, match="pic must be"):
        model(**{**inputs, "pic": pixels[0]})
    lengths = {given["MOD"]: torch.tensor([5, 2])}
    out = model(**inputs, lengths=lengths, targets={**targets, "word": ids, "pair": ids})
    assert set(out.losses) == {*targets, "word", "pair"}
    return float(out.loss.detach())


def read(nodes: Iterable[ast.AST]) -> set[str]:
    """Every name below some nodes."""
    found = (getattr(n, field, None) for at in nodes for n in ast.walk(at) for field in NAMED)
    return {name for name in found if isinstance(name, str)}


NAMED = ("id", "name", "arg", "asname")
TREES = [ast.parse(text) for name, text in package().files.items() if name.endswith(".py")]
TOP = [node for tree in TREES for node in tree.body]
"""Top-level statements of the package."""


def snake(name: str) -> str:
    """`GatedFusion` -> `gated_fusion`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


CLASSES = sorted(
    name
    for name in {*read(TOP), "True", "False", "None"}
    if name[0].isupper() and not name.startswith("Whole")
)
"""What is called like a class in the package."""

KNOWN = {*re.findall(r"\w+", SPEC), *PLAIN.values()}
OWN = [node for node in TOP if getattr(node, "name", "") == "Whole" or "_mask" in ast.dump(node)]
WORDS = sorted(
    name
    for name in read(OWN) | {str(getattr(node, "name", "X")) for node in TOP}
    if re.fullmatch("[a-z][a-z0-9_]*", name) and not ENDINGS.search(name) and name not in KNOWN
)
"""What stands beside the words of the spec: in the model, in its masks, and at the top."""


def test_the_words_are_many() -> None:
    assert {"Routing", "Mapping", "F", "ValueError", "GatedFusion", "CausalMlpStack"} <= set(
        CLASSES
    )
    assert {"batch", "mean_pool", "layer", "q", "targets", "absent"} <= set(WORDS)


def refused(slot: str, word: str) -> bool:
    """Whether a place of the spec may not be called so, which must then be said."""
    try:
        validate(parse(spec(**{slot: word})))
    except MmspecError as error:
        codes = {each.code for each in error.diagnostics}
        known = {"MM105"} if slot == "NAME" else {"MM104", "MM105", "MM323"}
        assert codes <= known, (word, codes)
        return True
    return False


@lru_cache
def words_of_parts() -> list[dict[str, str]]:
    """Every third word in each place, so that each word is tried once; three in a package."""
    slots = ("MOD", "STR", "HEAD")
    free = [[w for w in WORDS[at::3] if not refused(slot, w)] for at, slot in enumerate(slots)]
    assert all(len(words) > 10 for words in free)
    rows = (zip(slots, words, strict=True) for words in zip_longest(*free))
    return [{slot: word for slot, word in row if word} for row in rows]


@pytest.mark.parametrize("name", CLASSES)
def test_models_and_parts_may_be_called_like_what_is_written_or_may_not(name: str) -> None:
    """A model like a class of its package, with its parts called like what else stands there."""
    place, parts = CLASSES.index(name), words_of_parts()
    assert len(parts) <= len(CLASSES)
    called = parts[place] if place < len(parts) else {}
    if not refused("NAME", snake(name)):
        called = {**called, "NAME": snake(name)}
    assert loss(**called) == pytest.approx(loss(), abs=1e-6), called
