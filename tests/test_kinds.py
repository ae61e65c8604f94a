"""A kind that the language has is there in every layer: what lacks it is named by its file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel
from questions import members, names
from torch import Tensor

import mmspec
from mmspec.compiler import ir
from mmspec.compiler.emit.decodable import decoding
from mmspec.compiler.emit.emit import emit
from mmspec.compiler.ir.fusion import Fusion
from mmspec.compiler.ir.halting import Halting
from mmspec.compiler.ir.norm import Norm
from mmspec.compiler.ir.scores import Relative
from mmspec.compiler.load import load
from mmspec.compiler.lower.lower import lower
from mmspec.schema import fusion, halting, head, modality, norm, routing, scores
from mmspec.schema.spec import Spec
from mmspec.schema.validate import validate
from mmspec.text.document import parse
from mmspec.verify.costs import flops, parameters
from mmspec.verify.faults import FAULTS
from mmspec.verify.reference import expected_weights, run
from mmspec.verify.strategies.heads import NAMES as HEAD_NAMES
from mmspec.verify.strategies.modalities import KINDS

ROOT = Path(__file__).parents[1]
MODALITY = """\
mmspec: 1
name: small
modalities:
  given: {given}
streams:
  joint: {{from: given, depth: 1, width: 6, heads: 2}}
heads:
  label: {{from: joint, kind: classifier, classes: 2}}
"""
HEAD = """\
mmspec: 1
name: small
modalities:
  text: {{kind: tokens, vocab: 7, length: {{max: 5}}}}
  row: {{kind: table, columns: {{age: number, size: number}}}}
streams:
  one: {{from: text, depth: 1, width: 6, heads: 2, attention: causal}}
  two: {{from: row, depth: 1, width: 6, heads: 2}}
heads:
  label: {head}
  other: {{from: two, kind: regressor, outputs: 1}}
"""
BODY = """\
mmspec: 1
name: small
modalities:
  text: {{kind: tokens, vocab: 7, length: {{max: 5}}}}
  row: {{kind: table, columns: {{age: number, size: number}}}}
streams:
  joint: {{from: {source}, depth: 2, width: 6, heads: 2{more}}}
heads:
  label: {{from: joint, kind: classifier, classes: 2}}
"""


KEYS = {
    "of": "[text, row]",
    "head": "label",
    "prior": 0.5,
    "threshold": 0.5,
    "length": "{max: 5}",
    "size": "[4, 6]",
    "rate": "10 Hz",
    "columns": "{age: number, sort: {categories: 3}}",
}
"""What required keys are given; others 2."""

MODELS: dict[str, type[BaseModel]] = {
    name: model
    for union in (modality.Modality, head.Head, routing.FeedForward)
    for model in members(union)
    for name in names((model,))
}
"""Every modality, head and feed-forward by its name."""

LIKE_FUSIONS = {**fusion.KINDS, **halting.KINDS, **norm.KINDS, **scores.KINDS}


@cache
def spec(kind: str) -> Spec:
    """A small spec with it."""
    keys = {**MODELS, **LIKE_FUSIONS}[kind].model_fields
    own = {key: KEYS.get(key, 2) for key, field in keys.items() if field.is_required()}
    own |= {"patch": 2} if kind == "image" else {}  # or a stem
    if "source" in own:
        own["from"] = "one" if keys["source"].annotation is str else "[one, two]"
        del own["source"]
    tag = "fusion" if kind in fusion.KINDS else "kind"
    body = "{" + ", ".join(f"{key}: {value}" for key, value in {**own, tag: kind}.items()) + "}"
    if kind in names(members(modality.Modality)):
        return validate(parse(MODALITY.format(given=body), "small.yaml"))
    if kind in names(members(head.Head)):
        return validate(parse(HEAD.format(head=body), "small.yaml"))
    if kind in MODELS:
        filled = BODY.format(source="[text, row]", more=f", feed_forward: {body}")
        return validate(parse(filled, "small.yaml"))
    word = "norm" if kind in norm.KINDS else "halting"
    if kind in scores.KINDS:
        word, body = "scores", f"{{relative: {{text -> text: {body}}}}}"
    source, more = ("[text, row]", f", {word}: {body}") if tag == "kind" else (body, "")
    return validate(parse(BODY.format(source=source, more=more), "small.yaml"))


def in_plan(kind: str) -> bool:
    unions = Fusion, Halting, Norm, Relative, ir.Raw, ir.Answer
    records: list[Any] = [record for union in unions for record in members(union)]
    known = {record.name for record in records} | routing.KINDS.keys()
    return lower(spec(kind)) is not None and kind in known


def in_package(kind: str) -> bool:
    made = load(emit(lower(spec(kind)), spec(kind)))()
    return bool(made(**batch(kind)).heads.label.isfinite().all())


def in_costs(kind: str) -> bool:
    made = load(emit(lower(spec(kind)), spec(kind)))()
    plan = lower(spec(kind))
    assert flops(plan, {}) > 0
    return parameters(plan) == sum(weight.numel() for weight in made.parameters())


def in_reference(kind: str) -> bool:
    made = load(emit(lower(spec(kind)), spec(kind)))().double()
    weights = {name: tuple(weight.shape) for name, weight in made.named_parameters()}
    assert expected_weights(spec(kind)) == weights
    given = {name: x.double() if x.is_floating_point() else x for name, x in batch(kind).items()}
    expected = run(spec(kind), made.state_dict(), given, {}, None).heads["label"]
    return torch.allclose(made.eval()(**given).heads.label, expected, rtol=1e-9)


def in_faults(kind: str) -> bool:
    return any(has(validate(parse(text, "fault.yaml")), kind) for text in planted())


def planted() -> set[str]:
    """The specs that faults are planted in."""
    return {fault.spec for fault in FAULTS}


def has(one: Spec, kind: str) -> bool:
    """Whether a spec has it: a fusion, where it is of several sources."""
    found = {s.source.fusion for s in one.streams.values() if len(s.source.of) > 1}
    normed = {s.norm.kind for s in one.streams.values()}
    halted = {s.halting.kind for s in one.streams.values() if s.halting}
    others = (*one.modalities.values(), *one.heads.values())
    named = {each.kind for each in others} | {s.feed_forward.kind for s in one.streams.values()}
    scored = {k.name() for s in one.streams.values() if s.scores for k in s.scores.kinds()}
    return kind in {*found, *normed, *halted, *scored, *named}


def is_shipped(kind: str) -> bool:
    specs = (mmspec.read(path) for path in sorted((ROOT / "specs").glob("*.yaml")))
    return any(has(one, kind) for one in specs)


def in_docs(kind: str) -> bool:
    text = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    return bool(re.search(rf"^(\| `{kind}` \||`{{kind: {kind},)", text, re.MULTILINE))


def batch(kind: str) -> dict[str, Tensor]:
    """Two samples."""
    found = {}
    for name, given in spec(kind).modalities.items():
        values = torch.arange(prod(given.shape(3)) * 2).reshape(2, *given.shape(3))
        found[name] = values % given.ids if given.ids else values % 2 * 1.0
    return found


FUSIONS: dict[str, Callable[[str], bool]] = {
    "compiler/ir/fusion.py": in_plan,
    "compiler/parts/fusion.py": in_package,
    "verify/costs/fusion.py": in_costs,
    "verify/reference/fusion.py": in_reference,
    "verify/faults/fusion.py": in_faults,
    "specs/": is_shipped,
    "docs/language.md": in_docs,
}
"""What a fusion needs besides its model in mmspec/schema/fusion.py, and how one sees it there."""


HALTINGS = {layer.replace("fusion", "halting"): has for layer, has in FUSIONS.items()}
"""What a halting needs besides its model in mmspec/schema/halting.py."""


NORMS = {layer.replace("fusion", "norm"): has for layer, has in FUSIONS.items()}
"""What a norm needs besides its model in mmspec/schema/norm.py."""


SCORES = {layer.replace("fusion", "scores"): has for layer, has in FUSIONS.items()}
"""What a relative score needs besides its model in mmspec/schema/scores.py."""
del SCORES["verify/costs/scores.py"]  # what is added to scores costs next to nothing


MODALITIES = {layer.replace("fusion", "modality"): has for layer, has in FUSIONS.items()}
"""What a modality needs besides its model in mmspec/schema/modality.py."""
MODALITIES["verify/strategies/modalities.py"] = KINDS.__contains__

HEADS = {layer.replace("fusion", "head"): has for layer, has in FUSIONS.items()}
"""What a head needs besides its model in mmspec/schema/head.py."""
HEADS["verify/strategies/heads.py"] = HEAD_NAMES.__contains__

FEED_FORWARDS = {layer.replace("fusion", "routing"): has for layer, has in FUSIONS.items()}
"""What a feed-forward needs besides its model in mmspec/schema/routing.py."""


def layers(kind: str) -> dict[str, Callable[[str], bool]]:
    """The layers of a concern, by a kind of it."""
    for union, found in ((modality.Modality, MODALITIES), (head.Head, HEADS)):
        if kind in names(members(union)):
            return found
    if kind in routing.KINDS:
        return FEED_FORWARDS
    if kind in fusion.KINDS:
        return FUSIONS
    if kind in norm.KINDS:
        return NORMS
    return SCORES if kind in scores.KINDS else HALTINGS


def lacking(kind: str) -> Iterator[str]:
    """The layers that do not have a kind."""
    for layer, has in layers(kind).items():
        try:
            there = has(kind)
        except Exception as error:  # whatever a layer does with it
            there, layer = False, f"{layer} ({error!r:.80})"
        if not there:
            yield layer


@pytest.mark.parametrize("kind", sorted({*LIKE_FUSIONS, *MODELS}))
def test_every_layer_has_every_kind(kind: str) -> None:
    assert [*lacking(kind)] == []


@pytest.mark.parametrize(
    "kind", [kind for kind, model in fusion.KINDS.items() if model.pools == "others"]
)
def test_a_fusion_that_pools_others_alone_says_what_decoding_keeps_of_them(kind: str) -> None:
    """`once` of the record in compiler/ir/fusion.py, its step in compiler/parts/decoding.py."""
    body = BODY.replace("kind: classifier, classes: 2", "kind: language-model")
    source = f"{{fusion: {kind}, of: [text, row]}}"
    plan = lower(validate(parse(body.format(source=source, more=", attention: causal"))))
    assert decoding(plan) is not None


@pytest.mark.parametrize(
    ("kind", "lost"),
    [
        ("film", {"costs/fusion": "_film", "reference/fusion": "_film"}),
        ("ponder", {"costs/halting": "costs", "reference/halting": "_ponder"}),
        ("group", {"costs/norm": "_made", "reference/norm": "_group"}),
        ("video", {"reference/modality": "_video"}),
        ("switch", {"costs/routing": "_experts", "reference/routing": "_experts"}),
        ("contrastive", {"reference/head": "compare"}),
    ],
)
def test_a_layer_that_lacks_a_kind_is_named(
    kind: str, lost: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for file, function in lost.items():
        place = f"mmspec.verify.{file.replace('/', '.')}.{function}"
        monkeypatch.setattr(place, lambda *_: iter(()))
    named = [layer.partition(" ")[0] for layer in lacking(kind)]
    assert named == [f"verify/{file}.py" for file in lost]
