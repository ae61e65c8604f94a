"""A kind that the language has is there in every layer: what lacks it is named by its file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import Tensor

import mmspec
from mmspec.compiler.emit.emit import emit
from mmspec.compiler.ir.fusion import Fusion
from mmspec.compiler.load import load
from mmspec.compiler.lower.lower import lower
from mmspec.schema.fusion import KINDS
from mmspec.schema.spec import Spec
from mmspec.schema.validate import validate
from mmspec.text.document import parse
from mmspec.verify.costs import flops, parameters
from mmspec.verify.faults import FAULTS
from mmspec.verify.reference import expected_weights, run

ROOT = Path(__file__).parents[1]
BODY = """\
mmspec: 1
name: small
modalities:
  text: {{kind: tokens, vocab: 7, length: {{max: 5}}}}
  row: {{kind: table, columns: {{age: number, size: number}}}}
streams:
  joint: {{from: {{fusion: {fusion}, of: [text, row]{own}}}, depth: 1, width: 6, heads: 2}}
heads:
  label: {{from: joint, kind: classifier, classes: 2}}
"""


@cache
def spec(fusion: str) -> Spec:
    """A small spec with a fusion."""
    keys = KINDS[fusion].model_fields
    own = "".join(f", {key}: 2" for key, field in keys.items() if field.is_required())
    own = own.replace(", fusion: 2", "").replace(", of: 2", "")
    return validate(parse(BODY.format(fusion=fusion, own=own), "small.yaml"))


def in_plan(fusion: str) -> bool:
    return lower(spec(fusion)) is not None and fusion in {kind.name for kind in get_args(Fusion)}


def in_package(fusion: str) -> bool:
    made = load(emit(lower(spec(fusion)), spec(fusion)))()
    return bool(made(**batch()).heads.label.isfinite().all())


def in_costs(fusion: str) -> bool:
    made = load(emit(lower(spec(fusion)), spec(fusion)))()
    plan = lower(spec(fusion))
    assert flops(plan, {}) > 0
    return parameters(plan) == sum(weight.numel() for weight in made.parameters())


def in_reference(fusion: str) -> bool:
    made = load(emit(lower(spec(fusion)), spec(fusion)))().double()
    weights = {name: tuple(weight.shape) for name, weight in made.named_parameters()}
    assert expected_weights(spec(fusion)) == weights
    given = {name: x.double() if x.is_floating_point() else x for name, x in batch().items()}
    expected = run(spec(fusion), made.state_dict(), given, {}, None).heads["label"]
    return torch.allclose(made.eval()(**given).heads.label, expected, rtol=1e-9)


def in_faults(fusion: str) -> bool:
    return any(has(validate(parse(text, "fault.yaml")), fusion) for text in planted())


def planted() -> set[str]:
    """The specs that faults are planted in."""
    return {fault.spec for fault in FAULTS}


def has(one: Spec, fusion: str) -> bool:
    """Whether a stream of a spec has a fusion of several sources."""
    sources = (stream.source for stream in one.streams.values())
    return any(source.fusion == fusion and len(source.of) > 1 for source in sources)


def is_shipped(fusion: str) -> bool:
    specs = (mmspec.read(path) for path in sorted((ROOT / "specs").glob("*.yaml")))
    return any(has(one, fusion) for one in specs)


def in_docs(fusion: str) -> bool:
    text = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    return bool(re.search(rf"^\| `{fusion}` \|", text, re.MULTILINE))


def batch() -> dict[str, Tensor]:
    """Two samples."""
    return {"text": torch.tensor([[1, 2, 3], [4, 5, 6]]), "row": torch.ones(2, 2)}


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


def lacking(fusion: str) -> Iterator[str]:
    """The layers that do not have a fusion."""
    for layer, has in FUSIONS.items():
        try:
            there = has(fusion)
        except Exception as error:  # whatever a layer does with it
            there, layer = False, f"{layer} ({error!r:.80})"
        if not there:
            yield layer


@pytest.mark.parametrize("fusion", KINDS)
def test_every_layer_has_every_fusion(fusion: str) -> None:
    assert [*lacking(fusion)] == []


def test_a_layer_that_lacks_a_kind_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmspec.verify.costs.fusion._film", lambda *_: None)
    monkeypatch.setattr("mmspec.verify.reference.fusion._film", lambda *_: None)
    named = [layer.partition(" ")[0] for layer in lacking("film")]
    assert named == ["verify/costs/fusion.py", "verify/reference/fusion.py"]
