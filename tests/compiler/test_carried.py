"""Which segments hold anything of a modality, and from which layer on: counted by hand."""

from __future__ import annotations

import pytest

from mmspec.compiler.lower.carried import carried
from mmspec.compiler.lower.lower import lower
from mmspec.verify.strategies import load

SPEC = """
mmspec: 1
name: carried
modalities:
  text: {kind: tokens, vocab: 7, length: {max: 99}}
  tags: {kind: tokens, vocab: 5, length: {max: 9}}
  words: {kind: tokens, vocab: 3, length: {max: 9}}
streams:
  tagged: {from: tags, depth: 1, width: 8, heads: 2}
  last: {from: FROM, depth: DEPTH, width: 8, heads: 2, attention: ATTENTION, halting: HALTING}
  rest: {from: [tagged, words], depth: 1, width: 8, heads: 2}
heads:
  label: {from: last, kind: classifier, classes: 3}
  other: {from: rest, kind: classifier, classes: 3}
"""
PONDER = "{kind: ponder, at_most: STEPS, prior: 0.5}"
EXIT = "{kind: exit, head: label, threshold: 0.5, every: STEPS}"
CHAIN = "{tags -> text: causal, words -> tags: full, text -> words: causal}"
CASES = {
    "one layer": ("[text, tagged, words]", 1, CHAIN, "", "text tags"),
    "two layers": ("[text, tagged, words]", 2, CHAIN, "", "text tags words"),
    "the other way": ("[text, tagged]", 3, "{text -> tags: full}", "", "text"),
    "seen by none": ("[text, tagged]", 3, '{tags -> text: "full & none"}', "", "text"),
    "drawn blocks": ("[text, tagged]", 1, '{tags -> text: "~random(1)"}', "", "text tags"),
    "read by a fusion": ("{fusion: cross-attention, of: [tagged, text]}", 1, "full", "", "tags"),
    "not read by a fusion": (
        *("{fusion: cross-attention, of: [tagged, text], attention: none}", 1, "full", "", ""),
    ),
    "its own query": ("{fusion: cross-attention, of: [text, tagged]}", 1, "full", "", "text"),
    "gates": ("{fusion: gated, of: [text, tagged]}", 1, "none", "", "text tags"),
    "latents": ("{fusion: attention, of: [text], queries: 2}", 1, "none", "", "last"),
    "latents of others": ("{fusion: attention, of: [tagged], queries: 2}", 1, "full", "", ""),
    "a transformer": ("{fusion: transformer, of: [text, tagged]}", 1, "none", "", "text tags"),
    "pondering": ("[text, tagged]", 1, "none", PONDER.replace("STEPS", "2"), "text tags"),
    "one step": ("[text, tagged]", 1, "none", PONDER.replace("STEPS", "1"), "text"),
    "exits": ("[text, tagged]", 2, "none", EXIT.replace("STEPS", "1"), "text tags"),
    "one exit": ("[text, tagged]", 2, "none", EXIT.replace("STEPS", "2"), "text"),
}
"""What is read, layers, who sees whom, halting, and what holds anything of text then."""


@pytest.mark.parametrize("name", CASES)
def test_what_holds_anything_of_a_modality(name: str) -> None:
    source, depth, attention, halting, expected = CASES[name]
    text = SPEC.replace("FROM", source).replace("DEPTH", str(depth))
    text = text.replace("ATTENTION", attention if attention[0] == "{" else f'"{attention}"')
    text = text.replace("HALTING", halting) if halting else text.replace(", halting: HALTING", "")
    if "text" not in source:
        text = "\n".join(line for line in text.split("\n") if not line.startswith("  text:"))
    values = carried(lower(load(text)).nodes, "text", separate=False).values
    assert set(values["last"]) == set(expected.split())
    assert not values["tagged"] and not values["rest"]


def test_what_a_layer_finds_is_what_the_one_before_left() -> None:
    text = SPEC.replace("FROM", "[text, tagged, words]").replace("DEPTH", "5")
    text = text.replace("ATTENTION", CHAIN).replace(", halting: HALTING", "")
    plan = lower(load(text))
    stack = next(node for node in plan.nodes if node.out.name == "last")
    held = carried(plan.nodes, "text", separate=False)
    found = [held.before(stack.out, layer) for layer in range(5)]
    assert [len(names) for names in found] == [1, 2, 3, 3, 3]
    assert set(found[1]) == {"text", "tags"}
