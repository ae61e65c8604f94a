"""Packed documents that stay separate: each carries the losses that it has alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import mmspec
from mmspec.compiler.lower.lower import lower
from mmspec.compiler.lower.objective import told_tokens
from mmspec.diagnostics import MmspecError
from mmspec.verify.reference.packing import separate
from mmspec.verify.reference.told import told
from mmspec.verify.strategies import load

CHAIN = """
mmspec: 1
name: chain
modalities:
  text: {kind: tokens, vocab: 7, length: {max: 24}}
streams:
  first: {from: text, depth: DEPTH, width: 8, heads: 2, attention: "FIRST"}
  last: {from: first, depth: 1, width: 8, heads: 2, attention: "LAST"}
heads:
  next: {from: last, kind: language-model, tied: false}
"""
WITHIN: dict[str, tuple[str, int, str, Callable[[int, int], bool]]] = {
    "two ahead": ("document & strided(2)", 1, "causal & document", lambda k, p: p >= 2),
    "three ahead, twice": (
        *("document & dilated(step=3, reach=3)", 2, "causal & document"),
        lambda k, p: p >= 3,
    ),
    "in blocks that do not begin anew": (
        *("document & strided(2)", 1, "causal & document & block(4)"),
        lambda k, p: p >= 2 and k % 4 != 1,
    ),
    "in a prefix of the sample": (
        *("document & prefix(3) | document & causal", 1, "causal & document"),
        lambda k, p: k < 3,
    ),
    "by a token that only the first document has": (
        *("document & global(1) & strided(2)", 2, "causal & document"),
        lambda k, p: k == p and k % 2 == 0,
    ),
    "never between documents": (
        *("document & causal | ~document & window(before=0)", 2, "causal & document"),
        lambda k, p: False,
    ),
}
"""Masks of packed documents, and whether token k, p of its document, is seen: by hand."""


def chain(first: str, depth: int, last: str) -> str:
    """A spec of two streams, one behind the other."""
    return CHAIN.replace("FIRST", first).replace("DEPTH", str(depth)).replace("LAST", last)


@pytest.mark.parametrize("name", WITHIN)
def test_what_rows_see_of_their_own_document(name: str) -> None:
    first, depth, last, seen = WITHIN[name]
    spec = load(chain(first, depth, last))
    plan = lower(spec)
    assert plan.separate == ("text",)
    for begin in range(24):
        expected = {k for k in range(begin + 1, 24) if seen(k, k - begin)}
        assert told_tokens(plan.heads[0].told, 24, begin) == expected
        assert told(spec, "last", "text", 24, begin) == expected


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("document & global(1)", "causal & document", set(range(1, 24))),
        ("document & strided(2)", "causal & document | global(1)", set(range(1, 24))),
        ("document & strided(2)", "causal & (document | global(1))", set(range(2, 24))),
        ("causal & document", "causal & ~document | prefix(3)", {1, 2}),
    ],
)
def test_documents_that_meet_or_see_everything(first: str, last: str, expected: set[int]) -> None:
    spec = load(chain(first, 1, last))
    assert told(spec, "last", "text", 24) == expected
    if len(expected) == 23:
        with pytest.raises(MmspecError, match="is trained to predict tokens that its rows see"):
            lower(spec)
        return
    (head,) = lower(spec).heads
    for begin in range(9):  # wherever a document begins, tokens are counted from the sample's start
        assert told_tokens(head.told, 24, begin) == {k for k in expected if k > begin}
        assert told(spec, "last", "text", 24, begin) == expected


BOTH = """
mmspec: 1
name: both
modalities:
  text: {kind: tokens, vocab: 7, length: {max: 20}}
  tags: {kind: tokens, vocab: 5, length: {max: 20}}
streams:
  last: {from: [text, tags], depth: 2, width: 8, heads: 2, attention: ATTENTION}
heads:
  next: {from: last, kind: language-model, modality: text}
"""


@pytest.mark.parametrize(
    ("sees", "seen", "expected"),
    [
        ("document", "document", None),
        ("document & causal", "document & causal", lambda k, p: False),
        (
            *("document & causal", "document & window(before=0, after=3) & ~window(after=2)"),
            lambda k, p: k >= 3,  # wherever the document begins among the tags
        ),
        ("document", "document & prefix(2)", lambda k, p: k < 2),
    ],
)
def test_by_way_of_other_packed_tokens(
    sees: str, seen: str, expected: Callable[[int, int], bool] | None
) -> None:
    pairs = f'{{text -> text: causal & document, text -> tags: "{sees}", tags -> text: "{seen}"}}'
    spec = load(BOTH.replace("ATTENTION", pairs))
    assert separate(spec) == {"text", "tags"}
    if expected is None:
        assert told(spec, "last", "text", 20) == set(range(1, 20))
        with pytest.raises(MmspecError, match="tags sees text by `document`"):
            lower(spec)
        return
    (head,) = lower(spec).heads
    for begin in range(20):
        found = {k for k in range(begin + 1, 20) if expected(k, k - begin)}
        assert told_tokens(head.told, 20, begin) == found == told(spec, "last", "text", 20, begin)


@pytest.mark.parametrize(
    ("mask", "carrying"),
    [("causal & document", {1, 4}), ("causal & document & block(4)", {1, 4, 5})],
)
def test_the_loss_is_that_of_what_is_left_in_each(
    mask: str, carrying: set[int], tmp_path: Path
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(chain("document & strided(2)", 1, mask))
    model = mmspec.compile(path)().double().eval()
    ids = torch.randint(7, (1, 6), generator=torch.Generator().manual_seed(3))
    documents = {"text": torch.tensor([[0, 0, 0, 1, 1, 1]])}
    out = model(text=ids, documents=documents, targets={"next": ids})
    terms = [-out.heads.next[0, k - 1].log_softmax(0)[ids[0, k]] for k in carrying]
    torch.testing.assert_close(out.loss, torch.stack(terms).mean())
    whole = model(text=ids, targets={"next": ids})  # one document
    assert (whole.loss - out.loss).abs() > 1e-6
