"""`mmspec schema`, read by another library: it accepts what is valid, and refuses slips."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from command_line import call
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from mmspec import text
from mmspec.schema.json_schema import json_schema
from mmspec.verify.strategies import specs

ROOT = Path(__file__).parents[2]
SPECS = sorted([*(ROOT / "specs").rglob("*.yaml"), *(ROOT / "verify/faults/small").glob("*.yaml")])

SMALL = """\
mmspec: 1
name: small
dims: {d: 8}
modalities:
  text: {kind: tokens, vocab: 16, length: {max: 8}, position: rotary}
streams:
  text:
    from: text
    depth: 1
    width: 2*d
    heads: 2
    attention: causal
    variants:
      near: {attention: causal & window(before=3), feed_forward: {width: 8}}
      far: {norm: {eps: 1e-6}}
    layers: [near, far]
  other:
    from: [text]
    like: text
    block: [attention, {parallel: [attention, {feed_forward: same, scale: 0.5}]}]
heads:
  next: {from: text, kind: language-model}
"""


@cache
def validator() -> Draft202012Validator:
    found = json_schema()
    Draft202012Validator.check_schema(found)
    return Draft202012Validator(found)


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("schema") == 0
    assert json.loads(capsys.readouterr().out) == json_schema()


def refused(spec: str) -> set[str]:
    """Where the schema refuses a spec, by its keys."""
    data: Any = json.loads(json.dumps(text.parse(spec).data))
    return {"/".join(map(str, error.absolute_path)) for error in validator().iter_errors(data)}


@pytest.mark.parametrize("path", SPECS, ids=lambda path: str(path.stem))
def test_a_valid_spec_is_accepted(path: Path) -> None:
    assert refused(path.read_text()) == set()


@settings(max_examples=40, database=None)
@given(spec=specs())
def test_a_drawn_spec_is_accepted(spec: str) -> None:
    assert refused(spec) == set()


@pytest.mark.parametrize(
    ("right", "wrong", "at"),
    [
        ("depth: 1", "depht: 1", "streams/text"),
        ("depth: 1", "depth: -1", "streams/text/depth"),
        ("depth: 1", "depth: 1.5", "streams/text/depth"),
        ("    depth: 1\n", "", "streams/text"),
        ("kind: tokens", "kind: token", "modalities/text/kind"),
        ("vocab: 16, ", "", "modalities/text"),
        ("position: rotary", "position: rotating", "modalities/text/position"),
        ("attention: causal\n", "attention: [causal]\n", "streams/text/attention"),
        ("far: {norm: {eps: 1e-6}}", "far: {depth: 2}", "streams/text/variants/far"),
        ("near: {attention: causal", "near: {atention: causal", "streams/text/variants/near"),
        ("like: text", "like: text\n    dept: 2", "streams/other"),
        ("block: [attention", "block: [atention", "streams/other/block/0"),
        ("scale: 0.5", "scal: 0.5", "streams/other/block/1/parallel/1"),
        (
            "feed_forward: same",
            "feed_forward: other",
            "streams/other/block/1/parallel/1/feed_forward",
        ),
        ("kind: language-model", "kind: language_model", "heads/next/kind"),
        ("mmspec: 1", "mmspec: 2", "mmspec"),
        ("name: small\n", "", ""),
    ],
)
def test_a_slip_is_refused_where_it_stands(right: str, wrong: str, at: str) -> None:
    assert refused(SMALL) == set()
    assert SMALL.count(right) == 1
    assert refused(SMALL.replace(right, wrong)) == {at}


def test_every_key_says_what_it_means() -> None:
    found: Any = validator().schema
    owners = {"the top": found, **found["$defs"]}
    silent = [
        (owner, key)
        for owner, schema in owners.items()
        for key, value in schema.get("properties", {}).items()
        if "description" not in value and owner not in ("Variant", "Like")
    ]
    assert {key for _, key in silent} <= {"kind", "fusion"}


def test_defaults_are_what_a_spec_would_say() -> None:
    schema: Any = validator().schema
    stream = schema["$defs"]["Stream"]["properties"]
    shown = {key: value["default"] for key, value in stream.items() if "default" in value}
    assert shown == {
        "attention": "full",
        "feed_forward": "mlp",
        "norm": "layer",
        "final_norm": True,
        "bias": True,
        "dropout": 0.0,
    }
