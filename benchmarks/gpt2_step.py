"""A training step of the compiled specs/gpt2.yaml beside transformers' GPT-2, the same in and out.

Both take the same weights first; nothing is printed unless logits, loss and gradients agree.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from measure import ROOT, alternate, table
from torch import Tensor, nn

OURS, THEIRS = "mmspec", "transformers"
BLOCK = {
    "ln_1": "attention_norm",
    "attn.c_attn": "attention.qkv",
    "attn.c_proj": "attention.output",
    "ln_2": "feed_forward_norm",
    "mlp.c_fc": "feed_forward.up",
    "mlp.c_proj": "feed_forward.down",
}
"""Their names within a block, and the names of docs/language.md."""

Loss = Callable[[], tuple[Tensor, Tensor]]


def peer() -> nn.Module:
    """transformers' GPT-2 small of random weights, without dropout."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, use_cache=False)
    model: nn.Module = GPT2LMHeadModel(config).train()
    return model


def pairs(layers: int = 12) -> Iterator[tuple[str, str, bool]]:
    """Their name, our name and whether they keep the weight transposed, a parameter each."""
    yield "transformer.wte.weight", "text_embedding.table.weight", False
    yield "transformer.wpe.weight", "text_embedding.position", False
    for leaf in ("weight", "bias"):
        yield f"transformer.ln_f.{leaf}", f"text_stream.norm.{leaf}", False
        for index in range(layers):
            for theirs, ours in BLOCK.items():
                transposed = leaf == "weight" and ".c_" in theirs
                yield (
                    f"transformer.h.{index}.{theirs}.{leaf}",
                    f"text_stream.blocks.{index}.{ours}.{leaf}",
                    transposed,
                )


def translated(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of theirs under our names, transposed where they keep them so."""
    return {
        our_name: theirs[name].T if transposed else theirs[name]
        for name, our_name, transposed in pairs()
    }


def step(optimizer: torch.optim.Optimizer, loss: Loss) -> float:
    """CPU seconds of forward, backward and update."""
    start = time.process_time()
    optimizer.zero_grad(set_to_none=True)
    loss()[1].backward()
    optimizer.step()
    return time.process_time() - start


def apart(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


def differences(models: dict[str, nn.Module], losses: dict[str, Loss]) -> dict[str, float]:
    """How far logits, loss and every gradient are apart."""
    (our_logits, our_loss), (their_logits, their_loss) = losses[OURS](), losses[THEIRS]()
    our_loss.backward()
    their_loss.backward()
    grads = {
        who: {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        for who, model in models.items()
    }
    found = {"logits": apart(our_logits, their_logits), "loss": apart(our_loss, their_loss)}
    for name, expected in translated(grads[THEIRS]).items():
        found[f"gradient of {name}"] = apart(grads[OURS][name], expected)
    return found


def losses_of(models: dict[str, nn.Module], ids_bt: Tensor) -> dict[str, Loss]:
    """How each model gives its logits and its next-token loss."""

    def ours() -> tuple[Tensor, Tensor]:
        out: Any = models[OURS](text=ids_bt, targets={"next": ids_bt})
        return out.heads.next, out.loss

    def theirs() -> tuple[Tensor, Tensor]:
        out: Any = models[THEIRS](input_ids=ids_bt, labels=ids_bt)
        return out.logits, out.loss

    return {OURS: ours, THEIRS: theirs}


def main() -> None:
    """Check that the two agree, then print CPU seconds a step and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="steps of each model")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=256)
    arguments = parser.parse_args()

    import mmspec

    torch.set_num_threads(1)
    torch.manual_seed(0)
    models = {OURS: mmspec.compile(ROOT / "specs" / "gpt2.yaml")().train(), THEIRS: peer()}
    models[OURS].load_state_dict(translated(dict(models[THEIRS].named_parameters())))
    ids_bt = torch.randint(50257, (arguments.batch, arguments.tokens))
    losses = losses_of(models, ids_bt)

    worst = max(differences(models, losses).items(), key=lambda pair: pair[1])
    if not worst[1] < 1e-3:
        raise SystemExit(f"the models differ: {worst[0]} by {worst[1]:.1e}, so no timing is shown")
    print(
        f"the models agree: furthest apart is the {worst[0]}, {worst[1]:.1e} of its largest value"
    )

    optimizers = {who: torch.optim.AdamW(model.parameters()) for who, model in models.items()}
    measures = {who: partial(step, optimizers[who], losses[who]) for who in (THEIRS, OURS)}
    shape = f"CPU, a step of {arguments.batch} x {arguments.tokens}, 1 thread"
    print(table(alternate(measures, arguments.rounds), THEIRS, shape))


if __name__ == "__main__":
    main()
