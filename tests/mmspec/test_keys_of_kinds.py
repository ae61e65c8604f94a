"""A key that belongs to another kind of the same mapping: the kinds that have it are named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from mmspec.diagnostics import Diagnostic, MmspecError
from mmspec.schema import fusion, halting, head, init, modality, norm, routing
from mmspec.schema.validate import validate
from mmspec.text import parse

SPEC = """\
mmspec: 1
name: small
init: fan-in
modalities:
  text: {kind: tokens, vocab: 7, length: {max: 5}}
  row: {kind: table, columns: {age: number}}
streams:
  joint: {from: [text, row], depth: 1, width: 8, heads: 2, norm: rms, feed_forward: {kind: mlp}}
heads:
  label: {from: joint, kind: classifier, classes: 3}
"""
PLACES: dict[str, tuple[Any, str, str]] = {
    "init": (init.Init, "kind", "init: fan-in"),
    "modality": (modality.Modality, "kind", "{kind: table, columns: {age: number}}"),
    "fusion": (fusion.Fusion, "fusion", "[text, row]"),
    "norm": (norm.Norm, "kind", "rms"),
    "feed_forward": (routing.FeedForward, "kind", "{kind: mlp}"),
    "halting": (halting.Halting, "kind", "norm: rms"),
    "head": (head.Head, "kind", "{from: joint, kind: classifier, classes: 3}"),
}
"""The kinds that may stand at a place, the key that says which, and what stands there in SPEC."""


def models(union: Any) -> list[type[BaseModel]]:
    """The kinds of a union, however it is annotated."""
    if isinstance(union, type):
        return [union]
    return [model for part in get_args(union) for model in models(part)]


def told(model: type[BaseModel], tag: str) -> tuple[str, ...]:
    found: tuple[str, ...] = get_args(model.model_fields[tag].annotation)
    return found


def keys(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def strangers() -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """Place, kind, a key of other kinds there, and these."""
    for place, (union, tag, _) in PLACES.items():
        known = [model for model in models(union) if tag in model.model_fields]
        every = sorted({key for model in known for key in keys(model)})
        for model in known:
            for key in every:
                if key not in keys(model):
                    with_it = [name for m in known if key in keys(m) for name in told(m, tag)]
                    yield place, told(model, tag)[0], key, tuple(with_it)


def problems(place: str, written: str) -> tuple[Diagnostic, ...]:
    """What is said of the spec with a mapping at a place."""
    old = PLACES[place][2]
    new = {"init": f"init: {written}", "halting": f"norm: rms, halting: {written}"}
    assert SPEC.count(old) == 1
    with pytest.raises(MmspecError) as caught:
        validate(parse(SPEC.replace(old, new.get(place, written)), "small.yaml"))
    return caught.value.diagnostics


@pytest.mark.parametrize(("place", "kind", "key", "kinds"), [*strangers()])
def test_the_kinds_that_have_it_are_named(
    place: str, kind: str, key: str, kinds: tuple[str, ...]
) -> None:
    tag = PLACES[place][1]
    found = [d for d in problems(place, f"{{{tag}: {kind}, {key}: 4}}") if d.code == "MM101"]
    assert [d.message for d in found] == [f"unknown key `{key}` here"]
    goes, _, rest = found[0].help.partition(", not with ")
    assert goes.startswith(f"`{key}` goes with `{tag}: ")
    assert tuple(re.findall(r"`(?:kind: |fusion: )?([\w-]+)`", goes)[1:]) == kinds
    assert rest == f"`{kind}`; remove it, or change `{tag}`"


def test_a_misspelt_key_of_another_kind_is_told_by_its_own_name() -> None:
    (found,) = problems("norm", "{kind: layer, group: 4}")
    advice = "`groups` goes with `kind: group`, not with `layer`; remove `group`, or change `kind`"
    assert found.help == advice


@pytest.mark.parametrize(
    ("place", "written", "advice"),
    [
        ("norm", "{groups: 4}", "add `kind: group`"),
        ("feed_forward", "{choose: 2, experts: 4}", "add `kind: experts`"),
        ("feed_forward", "{experts: 4}", "add `kind: experts` or `switch`"),
        ("halting", "{at_most: 3, prior: 0.3}", "add `kind: ponder`"),
        ("init", "{std: 1}", "add `kind: normal` or `truncated-normal`"),
        ("fusion", "{of: [text, row], queries: 3}", "add `fusion: attention`"),
        ("fusion", "{of: [text, row]}", "add `fusion: ...`"),
        ("head", "{from: joint}", "add `kind: ...`"),
        ("head", "{from: joint, colour: 1}", "add `kind: ...`"),
    ],
)
def test_a_mapping_without_its_kind_is_told_the_one_its_keys_belong_to(
    place: str, written: str, advice: str
) -> None:
    assert advice in [d.help for d in problems(place, written)]


def test_what_is_missing_is_named_even_where_it_is_called_like_a_kind() -> None:
    (found,) = problems("feed_forward", "{kind: switch}")
    assert (found.message, found.help) == ("`experts` is missing", "add `experts: ...`")
