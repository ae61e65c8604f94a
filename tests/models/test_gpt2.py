"""The compiled GPT-2: its size, and its numbers beside an independent implementation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from model_inputs import SPECS
from torch import Tensor, nn

import mmspec

if TYPE_CHECKING:  # it takes seconds, in each process that collects tests
    from transformers import GPT2LMHeadModel

PARAMETERS = 124_439_808
"""Of the smallest GPT-2, as published (output tied to the embedding)."""
NAMES = {
    "ln_1": "attention_norm",
    "attn.c_attn": "attention.qkv",
    "attn.c_proj": "attention.output",
    "ln_2": "feed_forward_norm",
    "mlp.c_fc": "feed_forward.up",
    "mlp.c_proj": "feed_forward.down",
}


def copied(peer: GPT2LMHeadModel, stream: str) -> dict[str, Tensor]:
    """The peer's weights under our names; its linear maps are stored transposed."""
    state = {
        f"{stream}_embedding.table.weight": peer.transformer.wte.weight,
        f"{stream}_embedding.position": peer.transformer.wpe.weight,
        f"{stream}_stream.norm.weight": peer.transformer.ln_f.weight,
        f"{stream}_stream.norm.bias": peer.transformer.ln_f.bias,
    }
    for index, block in enumerate(peer.transformer.h):
        weights = dict(block.named_parameters())
        for theirs, ours in NAMES.items():
            for kind in ("weight", "bias"):
                value = weights[f"{theirs}.{kind}"]
                turned = value.T if kind == "weight" and "ln_" not in theirs else value
                state[f"{stream}_stream.blocks.{index}.{ours}.{kind}"] = turned
    return {name: value.detach().contiguous() for name, value in state.items()}


def test_gpt2_has_its_published_size_and_numbers() -> None:
    """All 124 million weights copied; logits, loss and a gradient to 1e-8 in float64."""
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.device("meta"):  # so many numbers are drawn once, not three times
        model = mmspec.compile(SPECS / "gpt2.yaml")().double().eval()
        peer = GPT2LMHeadModel(GPT2Config()).train(False)
    assert sum(value.numel() for value in model.parameters()) == PARAMETERS
    assert not list(model.buffers()) + list(peer.buffers())
    torch.manual_seed(0)
    peer.to_empty(device="cpu").tie_weights()
    for value in peer.parameters():
        nn.init.normal_(value, std=0.05)
    model.load_state_dict(copied(peer.double(), "text"), assign=True)
    ids = torch.randint(0, 50257, (2, 11), generator=torch.Generator().manual_seed(1))
    ours = model(text=ids, targets={"next": ids})
    logits = peer(ids).logits
    loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())  # theirs is float32
    assert (ours.heads.next - logits).abs().max() < 1e-8
    assert abs(ours.loss - loss) < 1e-8
    (ours_grad,) = torch.autograd.grad(ours.loss, model.get_parameter("text_embedding.position"))
    (theirs_grad,) = torch.autograd.grad(loss, peer.transformer.wpe.weight)
    assert (ours_grad[:11] - theirs_grad[:11]).abs().max() < 1e-8
