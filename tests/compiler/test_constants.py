"""Constants of a model have names: one where streams share a value, else one each."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from mmspec.compiler import driver
from mmspec.compiler.emit.constants import Named
from mmspec.compiler.emit.emit import emit
from mmspec.compiler.lower.lower import lower
from mmspec.compiler.specialise.constants import Bound, Constants
from mmspec.verify.strategies import load

SPECS = Path(__file__).parents[2] / "specs"
SPEC = """
mmspec: 1
name: sized
modalities:
  near: {kind: tokens, vocab: 7, length: {max: 11}}
  far: {kind: tokens, vocab: 7, length: {max: 13}}
streams:
  near: {from: near, depth: 2, width: 12, heads: 3, feed_forward: {kind: mlp, width: 36}}
  far: {from: far, depth: 3, width: 12, heads: 2, kv_heads: 1, feed_forward: {kind: mlp, width: 31}}
heads:
  sort: {from: near, kind: classifier, classes: 5}
  word: {from: far, kind: classifier, classes: 3}
"""
NAMES = """\
VOCABULARY = 7
NEAR_CONTEXT = 11
FAR_CONTEXT = 13
NEAR_DEPTH = 2
FAR_DEPTH = 3
WIDTH = 12
NEAR_HEADS = 3
FAR_HEADS = 2
NEAR_HEAD_WIDTH = WIDTH // NEAR_HEADS
FAR_HEAD_WIDTH = WIDTH // FAR_HEADS
NEAR_HIDDEN = 3 * WIDTH
FAR_HIDDEN = 31
SORT_CLASSES = 5
WORD_CLASSES = 3
"""


def test_a_name_for_each_value_of_a_role() -> None:
    named = Named(lower(load(SPEC)), frozenset())
    assert "".join(named.definitions(named.names.values())) == NAMES


def test_what_has_a_name_already_is_another() -> None:
    named = Named(lower(load(SPEC)), frozenset({"WIDTH", "NEAR_DEPTH"}))
    lines = named.definitions(named.names.values())
    assert {
        "WIDTH2 = 12\n",
        "NEAR_DEPTH2 = 2\n",
        "NEAR_HEAD_WIDTH = WIDTH2 // NEAR_HEADS\n",
    } <= set(lines)


@pytest.mark.parametrize(
    ("number", "origin", "written"),
    [
        ("12", "width", "WIDTH"),
        ("24", "2 * width", "2 * WIDTH"),
        ("36", "(heads + 2 * heads) * head_width", "3 * WIDTH"),
        ("12", "1 * width", "WIDTH"),
        ("(3, 3)", "(heads, heads)", "(HEADS, HEADS)"),
        ("(-1, 4)", "(-1, head_width)", "(-1, HEAD_WIDTH)"),
        ("6", "width // 2", "WIDTH // 2"),
        ("7", "other", "7"),
        ("13", "width", "13"),
        ("True", "width == 12", "True"),
    ],
)
def test_a_number_is_written_as_what_it_stood_for(number: str, origin: str, written: str) -> None:
    values = {"WIDTH": 12, "HEADS": 3, "HEAD_WIDTH": 4}

    def name(record: object, field: str, value: int, owner: str) -> str | None:
        return field.upper() if values.get(field.upper()) == value else None

    constants = Constants(name, values, {("HEADS", "HEAD_WIDTH"): "WIDTH"})
    known = Bound({"width": 12, "heads": 3, "head_width": 4, "other": 7})
    node, stood_for = (ast.parse(text, mode="eval").body for text in (number, origin))
    assert ast.unparse(constants.put(node, stood_for, known)) == written


@pytest.mark.parametrize("name", ["gpt2", "hierarchical"])
def test_no_class_says_a_size_by_number(name: str) -> None:
    """Numbers of a hundred or more, and those of widths, stand where they are named."""
    files = driver.run(SPECS / f"{name}.yaml", "emit").files
    values = {"gpt2": {768, 50257, 1024, 3072, 64}, "hierarchical": {48, 32, 192, 128}}[name]
    for file in ("model.py", "attention.py"):
        for node in ast.parse(files.get(file, "")).body:
            if isinstance(node, ast.ClassDef):
                found = {x.value for x in ast.walk(node) if isinstance(x, ast.Constant)}
                assert not found & values, (file, node.name)


def test_a_package_defines_what_it_reads_and_no_more() -> None:
    tree = ast.parse(emit(lower(load(SPEC)), load(SPEC)).files["model.py"])
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id.isupper()]
    stored = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    assert stored == {node.id for node in names if isinstance(node.ctx, ast.Load)} - {"F"}
    assert stored <= {line.split()[0] for line in NAMES.splitlines()} and "FAR_DEPTH" in stored
