"""Attention of the reference against numpy, torch's own layer, and tables written by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from reference_cases import close, normal, one_stream
from torch import nn

from mmspec.expressions import mask as masks
from mmspec.verify.reference import context_pairs, pairs, run, visible
from mmspec.verify.reference.attention import attend, rotate
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
    turned = rotate(x, places).numpy()
    for row, place in enumerate(places):
        for i in range(3):
            angle = place / 10000 ** (2 * i / 6)
            product = complex(x[row, i], x[row, i + 3]) * np.exp(1j * angle)
            assert abs(product - complex(turned[row, i], turned[row, i + 3])) < 1e-12


def test_rotary_scores_depend_on_the_difference_alone() -> None:
    q, k = normal(1, 8), normal(1, 8, seed=1)
    scores = [(rotate(q, [m + 3]) @ rotate(k, [m]).T).item() for m in (0, 5, 1000)]
    assert max(scores) - min(scores) < 1e-9
    assert abs(scores[0] - (rotate(q, [4]) @ k.T).item()) > 1e-6


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
