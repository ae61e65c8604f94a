"""Decoding token by token, or by chunks, gives the rows of one forward pass."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from decoding_case import Case, case, close
from hypothesis import given, settings
from hypothesis import strategies as st

SPECS = Path(__file__).parents[2] / "specs"

HEAD = "mmspec: 1\nname: tiny\n"
LINE = "streams: {{text: {{from: text, depth: 2, width: 12, heads: 2, attention: {}, {}}}}}\n"
NEXT = "heads: {next: {from: text, kind: language-model}}\n"


def alone(attention: str, more: str = "norm: layer", position: str = "learned") -> str:
    """A spec of one stream of text."""
    modality = f"{{kind: tokens, vocab: 11, length: {{max: 40}}, position: {position}}}"
    return f"{HEAD}modalities: {{text: {modality}}}\n{LINE.format(attention, more)}{NEXT}"


WINDOW = "window(before=3)"
ALONE = {
    "gpt2": alone("causal"),
    "window": alone(WINDOW),
    "window and first": alone('"window(before=3) | causal & global(1)"', position="rotary"),
    "blocks, sincos": alone("causal & block(size=5)", position="sincos"),
    "strided": alone("causal & strided(step=3)", "head_width: 4", "rotary"),
    "itself alone": alone("window(before=0)", position="none"),
    "nothing": alone("none", "norm: rms"),
    "grouped": alone(WINDOW, "kv_heads: 1, norm: rms, bias: false", "rotary"),
    "by heads": alone("[{heads: 1, mask: causal}, {heads: 1, mask: window(before=2)}]"),
    "experts": alone("causal", "feed_forward: {kind: experts, experts: 5, choose: 2}"),
    "switch": alone(WINDOW, "feed_forward: {kind: switch, experts: 3}"),
    "glu, post": alone("causal", "feed_forward: {kind: glu}, norm: {kind: rms, placement: post}"),
    "groups of features": alone("causal", "norm: group(3), bias: false"),
    "by modality": alone("causal", "feed_forward: {kind: by-modality}"),
    "untied": alone("causal", "dropout: 0.3").replace(
        "language-model", "language-model, tied: false"
    ),
}

IMAGE = "{kind: image, size: [4, 6], channels: 1, patch: 2, optional: true}"
SOUND = "{kind: audio, features: 3, rate: 100 Hz, patch: 2, length: {max: 14}, position: sincos}"
TEXT = "{kind: tokens, vocab: 11, length: {max: 40}, position: rotary}"
EXITS = f"""
{HEAD}modalities:
  text: {TEXT}
  image: {IMAGE}
streams:
  text: {{from: text, depth: 1, width: 12, heads: 2, attention: causal}}
  image:
    from: image
    depth: 2
    width: 12
    heads: 2
    halting: {{kind: exit, head: label, threshold: 0.5}}
heads:
  next: {{from: text, kind: language-model}}
  label: {{from: image, kind: classifier, classes: 3}}
"""
ALONE["beside exits"] = EXITS
JOINT = f"""
{HEAD}modalities:
  image: {IMAGE}
  sound: {SOUND}
  text: {TEXT}
streams:
  joint:
    from: [image, sound, text]
    depth: 3
    width: 16
    heads: 4
    kv_heads: 2
    attention:
      ATTENTION
    feed_forward: {{kind: by-modality}}
heads: {{next: {{from: joint, kind: language-model}}}}
"""
PAIRS = (
    "text -> text: {}, text -> image: {}, text -> sound: {}, "
    "image -> image: full, sound -> sound: full"
)
CROSS = f"""
{HEAD}modalities:
  text: {TEXT}
  image: {IMAGE}
  sound: {SOUND}
streams:
  text: {{from: text, depth: 1, width: 8, heads: 2, attention: causal}}
  seen:
    from: {{fusion: attention, of: [image, sound], queries: 3}}
    depth: 1
    width: 12
    heads: 2
  reader:
    from: {{fusion: cross-attention, of: [text, seen, sound], heads: 3}}
    depth: 2
    width: 12
    heads: 2
    attention: {WINDOW}
heads: {{next: {{from: reader, kind: language-model, tied: false}}}}
"""
SEEN = "fusion: cross-attention, of: [text, seen, sound], heads: 3"
FILM = re.sub(r"  seen:\n(    .*\n)*", "", CROSS).replace(
    SEEN, "fusion: film, of: [text, image, sound]"
)
AROUND = {
    "image and sound before": JOINT.replace(
        "ATTENTION", "{" + PAIRS.format("causal", "full", "prefix(length=4)") + "}"
    ),
    "a window after an image": JOINT.replace(
        "ATTENTION", "{" + PAIRS.format(WINDOW, "full", "none") + "}"
    ),
    "around, by heads": JOINT.replace(
        "ATTENTION",
        "[{heads: 2, mask: {"
        + PAIRS.format("causal", "none", "full")
        + "}}, {heads: 2, mask: {"
        + PAIRS.format(WINDOW, "global(count=2)", "none")
        + "}}]",
    ),
    "causal over all": JOINT.replace("ATTENTION", "causal"),
    "read across": CROSS,
    "read by every layer": CROSS.replace(
        "{fusion: cross-attention, of: [text, seen, sound], heads: 3}", "text"
    )
    .replace("from: {fusion: attention, of: [image, sound], queries: 3}", "from: [image, sound]")
    .replace(
        f"attention: {WINDOW}", f"attention: {WINDOW}\n    block: [attention, {{cross: seen}}]"
    ),
    "scaled and shifted": FILM,
    "scaled and shifted by latents": CROSS.replace(SEEN, "fusion: film, of: [text, seen]"),
}


def around(batch: int, image: bool = True) -> dict[str, Any]:
    """An image that one sample lacks, and sound of two lengths."""
    generator = torch.Generator().manual_seed(2)
    pixels = torch.randn(batch, 1, 4, 6, generator=generator, dtype=torch.float64)
    frames = torch.randn(batch, 13, 3, generator=generator, dtype=torch.float64)
    lengths = {"sound": torch.tensor([13, 6, 0][:batch])}
    if image:
        lengths["image"] = torch.tensor([1, 0, 1][:batch])
    return {"image": pixels if image else None, "sound": frames, "lengths": lengths}


def agrees(found: Case, prompt: Sequence[int], chunks: Sequence[int]) -> bool:
    """Whether chunks after prompts of these lengths say what one pass says."""
    lengths = torch.tensor(prompt)
    return close(found.decoded(lengths, chunks), found.wanted(lengths, sum(chunks)))


@pytest.mark.parametrize("name", ALONE)
def test_tokens_after_ragged_prompts(name: str) -> None:
    found = case(ALONE[name], 29)
    assert agrees(found, [7, 1, 3], [1] * 22)
    assert agrees(found, [7, 0, 3], [5, 1, 13, 3])


@pytest.mark.parametrize("name", AROUND)
@pytest.mark.parametrize("image", [True, False])
def test_tokens_after_what_does_not_depend_on_them(name: str, image: bool) -> None:
    found = case(AROUND[name], 23, around(3, image))
    assert agrees(found, [5, 1, 3], [1] * 18)
    assert agrees(found, [5, 0, 3], [7, 1, 10])


@pytest.mark.parametrize("name", ["sliding", "single_stream", "experts_top2", "video"])
def test_shipped_specs(name: str) -> None:
    text = (SPECS / f"{name}.yaml").read_text(encoding="utf-8")
    for head in ("next_byte: {from", "caption: {from"):
        text = text.replace(head, "next: {from")
    assert agrees(shipped(name, text), [11, 2], [1, 1, 9, 1])


def shipped(name: str, text: str) -> Case:
    """A shipped spec with small inputs besides its text."""
    generator = torch.Generator().manual_seed(2)
    shapes: dict[str, dict[str, tuple[int, ...]]] = {
        "single_stream": {"image": (2, 3, 24, 32)},
        "video": {"clip": (2, 5, 3, 24, 32), "sound": (2, 9, 20)},
    }
    given = {
        key: torch.randn(shape, generator=generator, dtype=torch.float64)
        for key, shape in shapes.get(name, {}).items()
    }
    return case(text, 23, given, batch=2)


def test_a_prompt_longer_than_its_window_by_far() -> None:
    text = alone("causal & window(before=9)").replace("max: 40", "max: 700")
    assert agrees(case(text, 650), [640, 515, 2], [1, 1, 7, 1])


def test_drawn_blocks() -> None:
    text = alone("causal & random(blocks=2, seed=3)").replace("max: 40", "max: 400")
    assert agrees(case(text, 330), [300, 65, 130], [1, 1, 27, 1])


@settings(max_examples=25)
@given(
    st.sampled_from(["window and first", "blocks, sincos", "by heads"]),
    st.lists(st.integers(0, 9), min_size=3, max_size=3),
    st.lists(st.integers(1, 9), min_size=1, max_size=4).filter(lambda sizes: sum(sizes) <= 20),
)
def test_however_a_text_is_cut(name: str, prompt: list[int], chunks: list[int]) -> None:
    assert agrees(cut(name), prompt, chunks)


@cache
def cut(name: str) -> Case:
    """A model that many drawn texts are cut for."""
    return case(ALONE[name], 29)


@pytest.mark.parametrize("name", ["gpt2", "window"])
def test_a_prompt_says_what_the_model_says(name: str) -> None:
    found = case(ALONE[name], 13)
    lengths = torch.tensor([13, 4, 9])
    logits, cache = found.prefill(13, lengths)
    assert torch.equal(logits, found.rows(lengths))
    assert cache.length_b.tolist() == [13, 4, 9]
    assert cache.longest == 13


def held(cache: Any, name: str) -> list[list[int]]:
    """Places of the tokens that a cache holds, by sample; slots are not more than those."""
    kept = cache.kept[name]
    for key, value in kept.layers:
        assert key.shape[2] == value.shape[2] == kept.place_bs.shape[1]
    return [[place for place in row if place >= 0] for row in kept.place_bs.tolist()]


def test_a_window_of_w_keeps_w_minus_1_keys() -> None:
    size = 4
    text = alone(f"window(before={size - 1})").replace("max: 40", "max: 99")
    found = case(text, 60)
    _, cache = found.prefill(size)
    for t in range(size, 11 * size):
        assert held(cache, "text.text") == [[t - 3, t - 2, t - 1]] * 3
        assert cache.kept["text.text"].place_bs.shape[1] == size - 1
        _, cache = found.decode(found.ids[:, t : t + 1], cache)


def test_a_cache_keeps_what_the_mask_still_reaches_and_no_more() -> None:
    kept = {
        "gpt2": [*range(12)],
        "window and first": [0, 9, 10, 11],
        "blocks, sincos": [10, 11],
        "itself alone": [],
        "nothing": [],
        "by heads": [*range(12)],
    }
    for name, places in kept.items():
        found = case(ALONE[name], 20)
        _, at_once = found.prefill(12)
        _, cache = found.prefill(3)
        _, cache = found.decode(found.ids[:, 3:12], cache)
        assert held(at_once, "text.text") == held(cache, "text.text") == [places] * 3, name


def test_a_context_is_kept_once_and_where_it_is_seen() -> None:
    found = case(AROUND["image and sound before"], 12, around(3))
    _, cache = found.prefill(4)
    assert held(cache, "joint.image") == [[*range(6)], [], [*range(6)]]
    assert held(cache, "joint.sound") == [[0, 1, 2, 3], [0, 1, 2], []]
    _, after = found.decode(found.ids[:, 4:6], cache)
    assert after.kept["joint.image"] is cache.kept["joint.image"]
    assert (
        "joint.sound"
        not in case(AROUND["a window after an image"], 9, around(3)).prefill(2)[1].kept
    )


def test_a_scale_and_a_shift_are_kept_once() -> None:
    """A row a sample, however long the context; none in the sample that has none."""
    given = around(3)
    given["lengths"]["image"] = torch.tensor([1, 0, 0])
    found = case(FILM, 12, given)
    _, cache = found.prefill(4)
    kept = cache.kept["reader_fusion.modulation"]
    assert kept.place_bs.tolist() == [[0], [0], [-1]]
    assert [tuple(value.shape) for _, value in kept.layers] == [(3, 1, 1, 2 * 12)]
    _, after = found.decode(found.ids[:, 4:6], cache)
    assert after.kept["reader_fusion.modulation"] is kept
    chosen = cache.select(torch.tensor([2, 0])).kept["reader_fusion.modulation"]
    assert chosen.place_bs.tolist() == [[-1], [0]]


@pytest.mark.parametrize("name", ["window and first", "by heads"])
def test_reordering_samples_and_decoding_commute(name: str) -> None:
    found = case(ALONE[name], 20)
    index = torch.tensor([2, 0, 0, 1, 2])
    prompt = torch.tensor([8, 1, 5])
    _, cache = found.prefill(8, prompt)
    ids = found.following(prompt, 2)
    logits, after = found.decode(ids, cache)
    chosen, later = found.decode(ids[index], cache.select(index))
    assert torch.allclose(chosen, logits[index], rtol=1e-12, atol=1e-12)
    more = found.following(prompt + 2, 3)
    one, other = found.decode(more[index], after.select(index)), found.decode(more[index], later)
    assert torch.allclose(one[0], other[0], rtol=1e-12, atol=1e-12)
    assert cache.select(torch.tensor([1])).longest == 1


def test_a_cache_stays_as_it_is_for_other_tokens_to_go_on_from() -> None:
    found = case(ALONE["window"], 20)
    _, cache = found.prefill(8)
    first, _ = found.decode(found.ids[:, 8:12], cache)
    found.decode(found.ids[:, 2:5], cache)
    again, _ = found.decode(found.ids[:, 8:12], cache)
    assert torch.equal(first, again)


def test_what_does_not_fit_is_refused() -> None:
    found = case(ALONE["gpt2"], 40)
    _, cache = found.prefill(38)
    with pytest.raises(ValueError, match=r"38 \+ 3 positions are too many, at most 40"):
        found.decode(found.ids[:, :3], cache)
    with pytest.raises(ValueError, match=r"next tokens must be \[3, any\], is \[2, 1\]"):
        found.decode(found.ids[:2, :1], cache)
    with pytest.raises(ValueError, match="at least one of each sample"):
        found.decode(found.ids[:, :0], cache)


def test_prefill_leaves_no_hook_behind() -> None:
    found = case(ALONE["gpt2"], 9)
    with pytest.raises(ValueError, match="positions, at most 40"):
        found.steps.prefill(found.model, text=torch.zeros(1, 41, dtype=torch.int64))
    found.prefill(3)
    assert not any(module._forward_hooks for module in found.model.modules())


def test_models_and_steps_may_be_compiled() -> None:
    found = case(ALONE["window"], 20)
    whole = torch.compile(found.model, backend="eager", fullgraph=True)
    whole(text=found.ids)
    _, cache = found.steps.prefill(whole, text=found.ids[:, :9])
    step: Any = torch.compile(found.steps.decode, backend="eager", fullgraph=True)
    logits, _ = step(found.model, found.ids[:, 9:11], cache)
    assert close(logits, found.rows(torch.tensor([20, 20, 20]))[:, 9:11])


def test_a_model_whose_layers_do_not_run_is_refused() -> None:
    found = case(ALONE["gpt2"], 9)
    found.model.forward = lambda **given: None
    with pytest.raises(RuntimeError, match="did not run as modules"):
        found.steps.prefill(found.model, text=found.ids)
