"""A spec of many masks: advice on each, and a closer look at those of most pairs alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mmspec.compiler import ir
from mmspec.compiler.lower.lower import lower
from mmspec.schema.validate import validate
from mmspec.text import parse
from mmspec.verify.tune.advice import TILE, TILES
from mmspec.verify.tune.report import Report, tune


def report(count: int) -> Report:
    """Streams with a mask each, the first the longest."""
    names = range(count)
    modalities = "".join(
        f"  t{n}: {{kind: tokens, vocab: 8, length: {{max: {400 - n}}}}}\n" for n in names
    )
    streams = "".join(
        f"  s{n}: {{from: t{n}, depth: 1, width: 8, heads: 2, attention: window({n + 3}, 0)}}\n"
        for n in names
    )
    of = ", ".join(f"s{n}" for n in names)
    text = f"mmspec: 1\nname: many\nmodalities:\n{modalities}streams:\n{streams}"
    text += f"  joint: {{from: [{of}], depth: 1, width: 8, heads: 2}}\n"
    text += "heads: {y: {from: joint, kind: classifier, classes: 3}}\n"
    plan: ir.Plan = lower(validate(parse(text)))
    return tune(plan, {})


def sites(of: Report) -> list[dict[str, Any]]:
    """What JSON says of each stream that has a mask."""
    found: list[dict[str, Any]] = json.loads(json.dumps(of.as_dict()))["attentions"]
    return [one for one in found if one["stream"] != "joint"]


@pytest.mark.parametrize(("count", "tiles", "sought"), [(24, TILES, 24), (25, (TILE,), 16)])
def test_of_more_than_24_masks_changes_are_sought_for_16(
    count: int, tiles: tuple[tuple[int, int], ...], sought: int
) -> None:
    found = sites(report(count))
    assert len(found) == count
    assert {tuple(row["tile"]) for one in found for row in one["tiles"]} == set(tiles)
    assert all(row["touched"] for one in found for row in one["tiles"])
    left = ["not_sought" in one["advice"] for one in found]
    assert left == [False] * sought + [True] * (count - sought)
