"""The reference against transformers' GPT-2: logits, loss and gradient of a small one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from reference_cases import close
from torch import Tensor

from mmspec.verify.reference import run
from mmspec.verify.strategies import load

if TYPE_CHECKING:  # it takes seconds, in each process that collects tests
    from transformers import GPT2LMHeadModel

SPEC = """
mmspec: 1
name: small_gpt2
modalities:
  text: {kind: tokens, vocab: 23, length: {max: 11}, position: learned}
streams:
  text:
    from: text
    depth: 2
    width: 12
    heads: 3
    attention: causal
    feed_forward: {kind: mlp, activation: gelu-tanh}
heads:
  next: {from: text, kind: language-model}
"""
NAMES = {
    "ln_1": "attention_norm",
    "attn.c_attn": "attention.qkv",
    "attn.c_proj": "attention.output",
    "ln_2": "feed_forward_norm",
    "mlp.c_fc": "feed_forward.up",
    "mlp.c_proj": "feed_forward.down",
}


def peer() -> GPT2LMHeadModel:
    """A GPT-2 of random weights."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=23,
        n_positions=11,
        n_embd=12,
        n_layer=2,
        n_head=3,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = GPT2LMHeadModel(config)
    model.double().train(False)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def translated(model: GPT2LMHeadModel) -> dict[str, Tensor]:
    """Its weights under the names of the language."""
    theirs: dict[str, Tensor] = dict(model.transformer.named_parameters())
    found = {
        "text_embedding.table.weight": theirs["wte.weight"],
        "text_embedding.position": theirs["wpe.weight"],
        "text_stream.norm.weight": theirs["ln_f.weight"],
        "text_stream.norm.bias": theirs["ln_f.bias"],
    }
    for layer in range(2):
        for source, name in NAMES.items():
            weight = theirs[f"h.{layer}.{source}.weight"]
            below = f"text_stream.blocks.{layer}.{name}"
            found[f"{below}.weight"] = weight.T if weight.dim() == 2 else weight
            found[f"{below}.bias"] = theirs[f"h.{layer}.{source}.bias"]
    return found


def test_logits_loss_and_gradients() -> None:
    model = peer()
    ids = torch.randint(23, (3, 11), generator=torch.Generator().manual_seed(1))
    logits = model(ids).logits
    # transformers' own loss is in float32
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    found = run(load(SPEC), translated(model), {"text": ids}, None, {"next": ids}, "train")
    assert found.loss is not None
    close(found.heads["next"], logits)
    close(found.loss, loss)
    parameters = list(model.parameters())
    mine = torch.autograd.grad(found.loss, parameters)
    for a, b in zip(mine, torch.autograd.grad(loss, parameters), strict=True):
        close(a, b)
