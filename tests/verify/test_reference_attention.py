"""Attention of the reference against numpy, torch's own layer, and tables written by hand."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest
import torch
from reference_cases import close, normal, one_stream
from torch import nn

from mmspec.expressions import mask as masks
from mmspec.schema.rotary import Rotary
from mmspec.verify.faults.specs import HEARD, PLACED
from mmspec.verify.reference import (
    context_pairs,
    context_pairs_by_head,
    pairs,
    pairs_by_head,
    run,
    visible,
)
from mmspec.verify.reference.attention import attend, rotate
from mmspec.verify.reference.masks import _mix
from mmspec.verify.reference.modality import layout
from mmspec.verify.reference.places import Layout
from mmspec.verify.strategies import load, weights

TABLES = {
    "causal": ["1000", "1100", "1110", "1111"],
    "window(before=1, after=2)": ["1110", "1111", "0111", "0011"],
    "dilated(step=2, reach=2)": ["1010", "0101", "1010", "0101"],
    "dilated(step=1, reach=1)": ["1100", "1110", "0111", "0011"],
    "block(3)": ["1110", "1110", "1110", "0001"],
    "global(1)": ["1111", "1000", "1000", "1000"],
    "~causal": ["0111", "0011", "0001", "0000"],
    "causal & window(before=1) | global(1)": ["1111", "1100", "1110", "1011"],
    "strided(3)": ["1001", "0100", "0010", "1001"],
    "prefix(2)": ["1100"] * 4,
    "shifted_window(size=2, shift=1)": ["1000", "0110", "0110", "0001"],
    "shifted_window(size=3, shift=5)": ["1100", "1100", "0011", "0011"],
    "full": ["1111"] * 4,
    "none": ["0000"] * 4,
}


@pytest.mark.parametrize(("text", "rows"), TABLES.items())
def test_visible_is_the_table_of_the_language(text: str, rows: list[str]) -> None:
    mask = masks.parse(text)
    found = ["".join(str(int(visible(mask, q, k))) for k in range(4)) for q in range(4)]
    assert found == rows


SEVERAL = """
mmspec: 1
name: several
modalities:
  a: {kind: tokens, vocab: 5, length: {max: 4}}
  e: {kind: series, features: 1, rate: 1 Hz, length: {max: 5}, patch: 2}
streams:
  one: {from: [a, e], depth: 1, width: 4, heads: 2, attention: causal}
  two:
    from: [a, e]
    depth: 1
    width: 4
    heads: 2
    attention: {a -> e: global(1), e -> e: block(2)}
  three:
    from: {fusion: cross-attention, of: [one, two], attention: {a -> a: causal, e -> a: full}}
    depth: 1
    width: 4
    heads: 2
heads:
  y: {from: three, kind: classifier, classes: 2}
"""


def rows_of(matrix: torch.Tensor) -> list[str]:
    return ["".join(str(int(x)) for x in row) for row in matrix]


def test_pairs_of_several_segments() -> None:
    spec = load(SEVERAL)
    lengths = {"a": 2, "e": 5}
    assert rows_of(pairs(spec, "one", lengths)) == ["10000", "11000", "11100", "11110", "11111"]
    assert rows_of(pairs(spec, "two", lengths)) == ["00111", "00100", "00110", "00110", "00001"]
    context = rows_of(context_pairs(spec, "three", lengths))
    assert context == ["10000", "11000", "11000", "11000", "11000"]


PICTURES = {
    "window2d(1)": "......... ......... ...###... ...###... ...###... .........",
    "shifted_window(size=4, shift=2)": "......... ......... " + "..####... " * 4,
    "axial(row)": "....#.... ....#.... ....#.... ....#.... ....#.... ....#....",
    "axial(column)": "......... ......... ......... ######### ......... .........",
    "axial(row) & ~window2d(2)": "....#.... ......... ......... ......... ......... .........",
}


@pytest.mark.parametrize(("text", "picture"), PICTURES.items())
def test_grids_are_the_pictures_of_the_docs(text: str, picture: str) -> None:
    """The query is in row 3, column 4 of an image of 6 x 9."""
    grid, mask = Layout(54, (("row", 6), ("column", 9))), masks.parse(text)
    seen = [visible(mask, grid.token(31), grid.token(k)) for k in range(54)]
    assert "".join(".#"[bit] for bit in seen) == picture.replace(" ", "")


FRAMES = {
    "window3d(1)": [".###." * 3] * 3,
    "window2d(1)": ["." * 15, ".###." * 3, "." * 15],
    "frame": ["." * 15, "#" * 15, "." * 15],
    "axial(frame)": [".....  ..#..  .....".replace(" ", "")] * 3,
    "shifted_window(size=2, shift=1)": ["." * 15, "....." + ".##.." * 2, "." * 15],
}


@pytest.mark.parametrize(("text", "frames"), FRAMES.items())
def test_videos_are_the_pictures_of_the_docs(text: str, frames: list[str]) -> None:
    """The query is in the middle of the middle one of three frames of 3 x 5."""
    video, mask = Layout(45, (("frame", 3), ("row", 3), ("column", 5))), masks.parse(text)
    seen = [visible(mask, video.token(22), video.token(k)) for k in range(45)]
    assert "".join(".#"[bit] for bit in seen) == "".join(frames)


def test_times_are_exact_and_durations_closed() -> None:
    """Query 3 at 25 Hz, keys at 100 Hz, then at 30 Hz: 1/30 s is no sum of binary fractions."""
    video, audio = Layout(9, period=Fraction(1, 25)), Layout(24, period=Fraction(1, 100))
    mask = masks.parse("within(duration=30 ms)")
    seen = [visible(mask, video.token(3), audio.token(k)) for k in range(24)]
    assert "".join(".#"[bit] for bit in seen) == ".........#######........"
    clock, mask = Layout(40, period=Fraction(1, 30)), masks.parse("within(1/30 s)")
    near = [
        [k for k in range(40) if visible(mask, clock.token(q), clock.token(k))] for q in (7, 29)
    ]
    assert near == [[6, 7, 8], [28, 29, 30]]


def test_split_mix_is_the_published_generator() -> None:
    """First outputs of the seeds 0 and 1234567, as its authors' C code gives them."""
    assert _mix(0) == 0xE220A8397B1DCDAF
    assert _mix(1234567) == 6457827717110365317


def test_random_draws_different_blocks_among_all_there_can_be() -> None:
    long, short = Layout(640), Layout(65)
    mask = masks.parse("random(3, seed=7)")
    rows = []
    for block in range(40):
        query, keys = long.token(64 * block + 5), range(640)
        seen = [k for k in keys if visible(mask, query, long.token(k))]
        assert len(seen) == 3 * 64 and len({k // 64 for k in seen}) == 3
        rows.append(tuple(k // 64 for k in seen[::64]))
    assert len(set(rows)) > 20 and set().union(*rows) == set(range(10))
    assert all(visible(mask, long.token(0), short.token(k)) for k in range(65))


def test_layouts_of_modalities() -> None:
    spec = load(HEARD)
    voice, pulse = (layout(spec.modalities[name]) for name in ("voice", "pulse"))
    assert (voice.most, voice.period, pulse.period) == (24, Fraction(1, 50), Fraction(2, 25))
    photo = layout(load(PLACED).modalities["photo"])
    assert (photo.most, photo.grid) == (35, (("row", 5), ("column", 7)))
    assert photo.token(16).at == (("row", 2), ("column", 2))


GROUPED = """
mmspec: 1
name: grouped
modalities:
  a: {kind: tokens, vocab: 5, length: {max: 4}}
  e: {kind: tokens, vocab: 5, length: {max: 3}}
streams:
  one:
    from: {fusion: cross-attention, of: [a, e], heads: 2, attention: [
      {heads: 1, mask: causal}, {heads: 1, mask: full}]}
    depth: 1
    width: 6
    heads: 3
    attention: [{heads: 2, mask: causal & document}, {heads: 1, mask: prefix(1)}]
heads:
  y: {from: one, kind: classifier, classes: 2}
"""


def test_heads_have_masks_of_their_own() -> None:
    spec, lengths = load(GROUPED), {"a": 3, "e": 3}
    by_head = [rows_of(head) for head in pairs_by_head(spec, "one", lengths)]
    assert by_head == [["100", "110", "111"]] * 2 + [["100", "100", "100"]]
    packed = pairs_by_head(spec, "one", lengths, {"a": [4, 4, 9]})
    assert [rows_of(head) for head in packed] == [["100", "110", "001"]] * 2 + [["100"] * 3]
    assert rows_of(pairs(spec, "one", lengths)) == ["100", "110", "111"]
    crossed = [rows_of(head) for head in context_pairs_by_head(spec, "one", lengths)]
    assert crossed == [["100", "110", "111"], ["111"] * 3]


def test_each_head_reads_what_its_own_mask_shows() -> None:
    """A model whose masks are by heads, against two whose heads are all alike."""
    spec, x = load(GROUPED), {n: torch.tensor([[1, 2, 3]]) for n in "ae"}
    w = weights(spec, 1)
    shown = run(spec, w, x, record=True).trace["one.0"][0]
    for said, heads in (("causal & document", (0, 1)), ("prefix(1)", (2,))):
        text = re.sub(r"attention: \[\{heads: 2.*", f"attention: {said}", GROUPED)
        alike = run(load(text), w, x, record=True).trace["one.0"][0]
        for head in heads:
            close(shown[head], alike[head])


def test_attend_is_a_softmax_over_what_is_seen() -> None:
    q, k, v = normal(3, 5), normal(4, 5, seed=1), normal(4, 2, seed=2)
    seen = torch.tensor([[1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]]).bool()
    output, share = attend(q, k, v, seen)
    for i in range(3):
        chosen = np.flatnonzero(seen[i].numpy())
        raw = np.exp(np.array([float(q[i] @ k[j]) / np.sqrt(5) for j in chosen]))
        expected = (raw[:, None] * v.numpy()[chosen]).sum(0) / raw.sum() if len(chosen) else [0, 0]
        np.testing.assert_allclose(output[i], expected, rtol=1e-12)
    close(share.sum(1), torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64))


def test_rotation_is_a_complex_multiplication() -> None:
    x, places = normal(3, 6), [0, 4, 9]
    turned = rotate(x, places, Rotary()).numpy()
    for row, place in enumerate(places):
        for i in range(3):
            angle = place / 10000 ** (2 * i / 6)
            product = complex(x[row, i], x[row, i + 3]) * np.exp(1j * angle)
            assert abs(product - complex(turned[row, i], turned[row, i + 3])) < 1e-12


def test_rotary_scores_depend_on_the_difference_alone() -> None:
    q, k = normal(1, 8), normal(1, 8, seed=1)
    scores = [
        (rotate(q, [m + 3], Rotary()) @ rotate(k, [m], Rotary()).T).item() for m in (0, 5, 1000)
    ]
    assert max(scores) - min(scores) < 1e-9
    assert abs(scores[0] - (rotate(q, [4], Rotary()) @ k.T).item()) > 1e-6


def _torch_layer(w: dict[str, torch.Tensor], pre: bool) -> nn.TransformerEncoderLayer:
    layer = nn.TransformerEncoderLayer(
        6, 2, 11, dropout=0.0, activation="gelu", batch_first=True, norm_first=pre
    ).double()
    block = "s_stream.blocks.0."
    names = {
        "self_attn.in_proj_": "attention.qkv.",
        "self_attn.out_proj.": "attention.output.",
        "linear1.": "feed_forward.up.",
        "linear2.": "feed_forward.down.",
        "norm1.": "attention_norm.",
        "norm2.": "feed_forward_norm.",
    }
    layer.load_state_dict(
        {a + part: w[block + b + part] for a, b in names.items() for part in ("weight", "bias")}
    )
    return layer


@pytest.mark.parametrize("placement", ["pre", "post"])
@pytest.mark.parametrize("mask", ["full", "causal"])
def test_a_block_is_torchs_encoder_layer(placement: str, mask: str) -> None:
    spec = one_stream(
        f"depth: 1, heads: 2, attention: {mask}, final_norm: false, feed_forward: "
        f"{{kind: mlp, width: 11}}, norm: {{placement: {placement}}}"
    )
    w, x = weights(spec, 1), normal(2, 7, 6)
    result = run(spec, w, {"x": x}, {"x": torch.tensor([7, 4])})
    layer = _torch_layer(w, placement == "pre")
    for sample, count in enumerate((7, 4)):
        tokens = result.trace["s.fused"][sample]
        hidden = torch.ones(count, count).triu(1).bool() if mask == "causal" else None
        expected = layer(tokens[None], src_mask=hidden)[0]
        close(result.trace["s.tokens"][sample], expected)


def test_query_heads_share_key_heads_in_groups() -> None:
    spec = one_stream("depth: 1, heads: 4, kv_heads: 2, head_width: 3, final_norm: false")
    full = one_stream("depth: 1, heads: 4, head_width: 3, final_norm: false")
    w, x = weights(spec, 1), normal(1, 5, 6)
    wide = dict(w)
    for name in ("weight", "bias"):
        key = f"s_stream.blocks.0.attention.qkv.{name}"
        q, k, v = w[key].split([12, 6, 6])
        spread = [part.reshape(2, 3, -1).repeat_interleave(2, 0) for part in (k, v)]
        wide[key] = torch.cat([q, *(part.reshape(12, *w[key].shape[1:]) for part in spread)])
    close(run(spec, w, {"x": x}).heads["y"], run(full, wide, {"x": x}).heads["y"])


def test_a_row_that_sees_nothing_adds_only_the_output_bias() -> None:
    spec = one_stream(
        "depth: 1, heads: 2, attention: none, final_norm: false, feed_forward: "
        "{kind: mlp, width: 1}"
    )
    w = weights(spec, 1)
    w["s_stream.blocks.0.feed_forward.down.weight"] = torch.zeros(6, 1, dtype=torch.float64)
    w["s_stream.blocks.0.feed_forward.down.bias"] = torch.zeros(6, dtype=torch.float64)
    trace = run(spec, w, {"x": normal(1, 5, 6)}).trace
    bias = w["s_stream.blocks.0.attention.output.bias"]
    close(trace["s.tokens"][0], trace["s.fused"][0] + bias)
