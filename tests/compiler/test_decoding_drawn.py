"""Decoding under masks that no example was written for, cut anywhere; and faults that it shows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from decoding_case import Case, case, close, compiled, loaded
from hypothesis import given, settings
from hypothesis import strategies as st

SPEC = """
mmspec: 1
name: drawn
modalities:
  image: {kind: image, size: [4, 6], channels: 1, patch: 2}
  text: {kind: tokens, vocab: 11, length: {max: 31}, position: rotary}
streams:
  joint:
    from: [image, text]
    depth: 2
    width: 12
    heads: 3
    kv_heads: 3
    attention: ATTENTION
heads: {next: {from: joint, kind: language-model}}
"""
SMALL = st.integers(1, 7)
ANYWHERE = st.one_of(
    st.sampled_from(["full", "none"]),
    SMALL.map("global({})".format),
    SMALL.map("prefix({})".format),
)
IN_ORDER = st.one_of(
    SMALL.map("window(before={})".format),
    SMALL.map("strided({})".format),
    SMALL.map("block({})".format),
    st.builds("dilated(step={}, reach={})".format, SMALL, st.integers(1, 12)),
    st.builds("shifted_window(size={}, shift={})".format, SMALL, SMALL),
)


def combined(patterns: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Masks of up to a few patterns."""
    return st.recursive(
        patterns,
        lambda masks: st.one_of(
            st.builds("({}) & ({})".format, masks, masks),
            st.builds("({}) | ({})".format, masks, masks),
            masks.map("~({})".format),
        ),
        max_leaves=3,
    )


@st.composite
def attentions(draw: st.DrawFn) -> str:
    """Groups of heads: text sees earlier text and the image, which sees itself."""
    groups = []
    for heads in draw(st.sampled_from([(3,), (1, 2)])):
        within, across = draw(combined(ANYWHERE | IN_ORDER)), draw(combined(ANYWHERE))
        pairs = f"text -> text: causal & ({within}), text -> image: {across}"
        groups.append(f"{{heads: {heads}, mask: {{{pairs}, image -> image: full}}}}")
    return f"[{', '.join(groups)}]"


@settings(max_examples=25)
@given(
    attentions(),
    st.lists(st.integers(0, 11), min_size=2, max_size=2),
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
)
def test_drawn_masks(attention: str, prompt: list[int], chunks: list[int]) -> None:
    pixels = torch.linspace(-1, 1, 48, dtype=torch.float64).view(2, 1, 4, 6)
    given_ = {"image": pixels, "lengths": {"image": torch.tensor([1, 0])}}
    found = case(SPEC.replace("ATTENTION", attention), 31, given_, batch=2)
    lengths = torch.tensor(prompt)
    while int(lengths.max()) + sum(chunks) > 31:
        chunks = chunks[:-1]
    assert close(found.decoded(lengths, chunks), found.wanted(lengths, sum(chunks)))


WINDOW = """
mmspec: 1
name: faulty
modalities: {text: {kind: tokens, vocab: 11, length: {max: 31}, position: POSITION}}
streams:
  text: {from: text, depth: 2, width: 12, heads: 2, attention: window(before=3)}
heads: {next: {from: text, kind: language-model}}
"""

FAULTS = {
    "it sees a key too few": ("q - k <= 3", "q - k <= 2"),
    "it sees a key too many": ("q - k <= 3", "q - k <= 4"),
    "it sees empty slots": ("seen_bcs = (k >= 0) & ", "seen_bcs = "),
    "a key is forgotten too soon": ("k >= t - 3", "k >= t - 2"),
    "there is a slot too few": ("at_bc[:, -1:] + 1), 3)", "at_bc[:, -1:] + 1), 2)"),
    "prompts have a slot too few": ("most=3)", "most=2)"),
    "lengths are those of the longest": (
        "length_b = (text_bt >= 0).sum(dim=1)",
        "length_b = (text_bt >= 0).sum(dim=1).max().expand(batch)",
    ),
    "places do not move on": ("cache.length_b + tokens", "cache.length_b"),
    "the first place is skipped": (
        "torch.arange(ids_bc.shape[1]",
        "1 + torch.arange(ids_bc.shape[1]",
    ),
    "keys are turned no more": (
        "q_bhcw, k_bhcw = rotate(q_bhcw, turn), rotate(k_bhcw, turn)",
        "q_bhcw = rotate(q_bhcw, turn)",
    ),
    "keys of the prompt are not turned": (
        "    k_bhsw = rotate(k_bhsw, turned(slots.place_bs, HEAD_WIDTH))\n",
        "",
    ),
    "layers share their keys": ("own.layers[layer]", "own.layers[0]"),
    "new keys come first": ("(past.k_bhsw, k_bhcw)", "(k_bhcw, past.k_bhsw)"),
    "new values are not kept": (
        "kept = KeyValue(k_bhsw, v_bhsw)",
        "kept = KeyValue(k_bhsw, torch.zeros_like(v_bhsw))",
    ),
    "the last norm is missing": ("    x_bcd = stack.norm(x_bcd)\n", ""),
}


def agrees(found: Case) -> bool:
    prompt = torch.tensor([9, 2, 5])
    try:
        return all(
            close(found.decoded(prompt, chunks), found.wanted(prompt, 20))
            for chunks in ([1] * 20, [2, 7, 11])
        )
    except RuntimeError:
        return False


def test_without_a_fault_it_agrees() -> None:
    assert agrees(case(WINDOW.replace("POSITION", "rotary"), 31))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(fault: str) -> None:
    package = compiled(WINDOW.replace("POSITION", "rotary"))
    old, new = FAULTS[fault]
    source = package.files["decoding.py"]
    assert source.count(old) == 1, source.count(old)
    files = {**package.files, "decoding.py": source.replace(old, new)}
    assert not agrees(loaded(replace(package, files=files), 31))


def test_an_embedding_at_the_wrong_place_is_seen() -> None:
    package = compiled(WINDOW.replace("POSITION", "learned"))
    source = package.files["decoding.py"]
    wrong = source.replace("embedding.position[at_bc]", "embedding.position[at_bc - at_bc[:, :1]]")
    assert wrong != source
    assert agrees(loaded(package, 31))
    assert not agrees(loaded(replace(package, files={**package.files, "decoding.py": wrong}), 31))
