"""Masks after one another, from text to tags and back: whether a row can reach its next token."""

from __future__ import annotations

import pytest
from test_told import ASIDE

from mmspec.compiler.lower import objective
from mmspec.compiler.lower.lower import lower
from mmspec.diagnostics import MmspecError
from mmspec.verify.reference.told import told
from mmspec.verify.strategies import load

CHAINS = {
    "all look back": (
        "causal & dilated(step=5, reach=35)",
        "window(before=9) & ~dilated(step=3, reach=6)",
        "block(7) & ~window(before=0, after=6) | strided(4) & causal",
    ),
    "further back than ahead": (
        "window(before=40) & ~window(before=12)",
        "dilated(step=3, reach=8)",
        "window(before=4, after=6)",
    ),
    "never one apart": (
        "dilated(step=6, reach=40)",
        "strided(4)",
        "strided(10) | dilated(step=2, reach=9)",
    ),
}
"""From text to tags, among tags, and back to text: what isl would follow for long."""


@pytest.mark.parametrize("name", CHAINS)
def test_chains_that_never_reach_the_next_token_need_no_sets(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objective, "_OPERATIONS", 1)
    names = "text -> text", "text -> tags", "tags -> tags", "tags -> text"
    pairs = zip(names, ("strided(2) & causal", *CHAINS[name]), strict=True)
    attention = ", ".join(f'{pair}: "{mask}"' for pair, mask in pairs)
    text = ASIDE.replace("FROM", "[one, other]").replace("ATTENTION", f"{{{attention}}}")
    spec = load(text.replace("attention: prefix(2)", "attention: none"))
    (head,) = lower(spec).heads
    assert head.told == "" and not told(spec, "last", "text", 24)


def test_steps_of_several_masks_that_add_up_to_one_are_a_leak() -> None:
    attention = (
        '{text -> text: none, text -> tags: "dilated(step=3, reach=3)", tags -> tags: none,'
        ' tags -> text: "dilated(step=2, reach=2)"}'
    )
    text = ASIDE.replace("FROM", "[one, other]").replace("ATTENTION", attention)
    spec = load(text.replace("attention: prefix(2)", "attention: none"))
    assert told(spec, "last", "text", 24) == set(range(1, 24))
    with pytest.raises(MmspecError, match="predict tokens that its rows see"):
        lower(spec)
