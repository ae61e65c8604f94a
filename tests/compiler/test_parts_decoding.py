"""The parts of decoding as they are written, before anything is folded."""

from __future__ import annotations

import ast
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mmspec.compiler import ir
from mmspec.compiler.emit.decoding import parts
from mmspec.compiler.emit.requests import stack as stack_part
from mmspec.compiler.lower.lower import lower
from mmspec.compiler.parts import decoding, decoding_layers
from mmspec.compiler.parts.attention import Attention
from mmspec.compiler.parts.drawn import mixed, random_blocks
from mmspec.compiler.parts.rotary import rotation
from mmspec.compiler.parts.stream import Block, Stack
from mmspec.compiler.specialise.functions import Functions, Site
from mmspec.schema.validate import validate
from mmspec.text import parse

SPEC = """
mmspec: 1
name: part
modalities: {{text: {{kind: tokens, vocab: 11, length: {{max: 31}}, position: rotary}}}}
streams: {{text: {{from: text, depth: 3, width: 12, heads: 2, attention: causal, {}}}}}
heads: {{next: {{from: text, kind: language-model}}}}
"""


def lowered(more: str) -> tuple[ir.Stack, Stack]:
    """A stream of the Plan, and the ordinary module that it stands for."""
    node = lower(validate(parse(SPEC.format(more)))).stacks()[0]
    torch.manual_seed(0)
    stack = Stack(**stack_part(node, "auto")[1]).double().eval()
    for parameter in stack.parameters():
        nn.init.normal_(parameter, std=0.3)
    return node, stack


def sees(at_bc: Tensor, place_bs: Tensor) -> Tensor:
    """A causal mask over places."""
    q, k = at_bc[:, :, None], place_bs[:, None]
    return ((k >= 0) & (k <= q))[:, None]


def nothing(node: ir.Stack, batch: int) -> decoding.CachedKeys:
    """No keys yet."""
    of = node.attentions[0]
    empty = torch.zeros(batch, of.kv_heads, 0, of.head_width, dtype=torch.float64)
    place = torch.zeros(batch, 0, dtype=torch.int64)
    return decoding.CachedKeys(place, (decoding.KeyValue(empty, empty),) * node.depth)


@pytest.mark.parametrize(
    "more",
    [
        "norm: rms",
        "kv_heads: 1, final_norm: false",
        "norm: {placement: post}, feed_forward: {kind: experts, experts: 3, choose: 2}",
        "feed_forward: {kind: by-modality}",
        "kv_heads: 1, scores: {relative: alibi}",
        "kv_heads: 1, scores: {qk_norm: {kind: layer, eps: 0.1}, scale: 0.7}",
        "kv_heads: 1, scores: {qk_norm: {kind: rms, eps: 0.1, over: heads}}",
    ],
)
def test_a_stack_by_chunks_from_nothing_is_the_stack(more: str) -> None:
    node, stack = lowered(more)
    x_btd = torch.randn(2, 9, 12, dtype=torch.float64)
    at_t = torch.arange(9)[None]
    mask = sees(at_t, at_t) if "alibi" in more else None
    whole = stack(x_btd, mask, torch.arange(9), None, (9,), [], (), x_btd, ())
    kept, found = nothing(node, 2), []
    for start, stop in ((0, 1), (1, 6), (6, 9)):
        at_bc = torch.arange(start, stop).expand(2, -1)
        y, kept = decoding_layers.next_stacked(
            stack,
            x_btd[:, start:stop],
            at_bc,
            kept,
            (),
            kept,
            of=node.variants[0],
            repeat=1,
            final_norm=node.final_norm is not None,
            segment=node.source.segments[0],
            joint=False,
            on_line="alibi" in more,
            common=False,
            sees=sees,
            keeps=sees,
            forgets=False,
            most=None,
        )
        found.append(y)
    assert torch.allclose(torch.cat(found, dim=1), whole, rtol=1e-9, atol=1e-10)


def test_turns_are_those_of_a_stream_row_by_row() -> None:
    place_bs = torch.tensor([[3, 0, 7], [1, 2, 30]])
    cos, sin = decoding.turned(place_bs, 6)
    for sample, places in enumerate(place_bs):
        for found, wanted in zip((cos, sin), rotation(places, 6), strict=True):
            assert torch.equal(found[sample, 0], wanted)


@pytest.mark.parametrize("draws", [(1, 7), (3, 7), (7, 7)])
def test_drawn_blocks_are_those_of_whole_masks(draws: tuple[int, int]) -> None:
    wanted = random_blocks(400, 400, draws, 5, torch.device("cpu"))
    q, k = torch.tensor([[0, 63, 399], [64, 200, 5]]), torch.arange(400).expand(2, -1)
    found = decoding.drawn_blocks(q[:, :, None], k[:, None], draws, 5)
    assert torch.equal(found.expand(2, 3, 400), wanted[q])
    assert mixed(torch.tensor([0])).dtype == torch.int64


def test_what_is_alive_moves_to_the_front_in_order_and_the_rest_goes() -> None:
    place = torch.tensor([[0, 1, 2, 3], [0, 1, 2, -1]])
    alive = torch.tensor([[False, True, False, True], [False, False, True, False]])
    found = decoding.kept_tokens(place, alive, 10, 2)
    assert found.place_bs.tolist() == [[1, 3], [2, -1]]
    assert found.index_bs.tolist() == [[11, 13], [12, 10]]


class Folded:
    """A function of the parts with constants folded, run as text."""

    def __init__(self, helper: str, **constants: object) -> None:
        functions = Functions(parts())
        made = functions.request(helper, constants, Site("here", {}))
        self.source = "\n".join(each.source for each in functions.made.values())
        self.left = made.left
        space: dict[str, Any] = dict(vars(decoding))
        exec(compile(self.source, "<folded>", "exec"), space)
        self.run: Any = space[made.name]


def test_folded_functions_say_the_same_and_take_only_what_they_read() -> None:
    node, stack = lowered("kv_heads: 1")
    block, segment = stack.blocks[0], node.source.segments[0]
    assert isinstance(block, Block) and isinstance(block.attention, Attention)
    x = torch.randn(2, 3, 12, dtype=torch.float64)
    past = decoding.KeyValue(*torch.randn(2, 2, 1, 4, 6, dtype=torch.float64))
    at = torch.tensor([[4, 5, 6], [3, 4, 5]])
    mask = sees(at, torch.cat((torch.arange(4).expand(2, -1), at), dim=1))
    turn = decoding.turned(at, 6)
    plain = decoding_layers.next_attended(
        block.attention,
        x,
        mask,
        turn,
        at,
        past,
        (),
        of=node.attentions[0],
        segment=segment,
        joint=False,
        on_line=False,
    )
    folded = Folded(
        "next_attended", of=node.attentions[0], segment=segment, joint=False, on_line=False
    )
    assert folded.left == ("attention", "x_bcd", "mask", "turn", "past")
    assert torch.equal(folded.run(block.attention, x, mask, turn, past)[0], plain[0])
    assert "joint" not in folded.source and "of." not in folded.source


def test_functions_alike_are_one_and_others_get_a_name_of_their_own() -> None:
    functions = Functions(parts())
    names = [
        functions.request("take_context", {"heads": heads}, Site(owner, {})).name
        for heads, owner in ((2, "a"), (2, "b"), (3, "c"), (3, "d"))
    ]
    assert names == ["take_context", "take_context", "c_take_context", "c_take_context"]
    assert len(ast.parse("\n".join(f.source for f in functions.made.values())).body) == 2
