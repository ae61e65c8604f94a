"""What the tests of the parts share: float64 weights and inputs, values and gradients compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from mmspec.compiler import ir
from mmspec.expressions import mask as masks

Part = TypeVar("Part", bound=nn.Module)
FULL = (("x", "x", masks.parse("full")),)
_GENERATOR = torch.Generator()


def normal(*shape: int) -> Tensor:
    """Float64 Gaussian numbers that take a gradient, new ones at every call."""
    return torch.randn(shape, generator=_GENERATOR, dtype=torch.float64).requires_grad_()


def filled(part: Part, seed: int = 0) -> Part:
    """The part in float64 with a random value in every parameter, norms and biases too.

    What `normal` draws from here on hangs on the seed alone.
    """
    _GENERATOR.manual_seed(seed)
    part = part.double()
    with torch.no_grad():
        for value in part.parameters():
            value.copy_(normal(*value.shape) * 0.6)
    return part


def weights(part: nn.Module) -> dict[str, Tensor]:
    """Its parameters by the names that the language gives them."""
    return dict(part.named_parameters())


def same(found: Tensor, expected: Tensor) -> None:
    """Assert equality up to the rounding of float64."""
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def same_gradients(found: Tensor, expected: Tensor, leaves: Sequence[Tensor]) -> None:
    """Assert equal values, and equal gradients of every leaf (none counts as 0)."""
    same(found, expected)
    if not leaves:
        return
    shares = torch.cos(torch.arange(found.numel(), dtype=torch.float64)).reshape(found.shape)
    ours, theirs = (
        torch.autograd.grad((y * shares).sum(), list(leaves), allow_unused=True, retain_graph=True)
        for y in (found, expected)
    )
    for leaf, a, b in zip(leaves, ours, theirs, strict=True):
        none = torch.zeros_like(leaf)
        same(none if a is None else a, none if b is None else b)


def valid_until(lengths: Sequence[int], tokens: int) -> Tensor:
    """bool [B, T]: the tokens before each length."""
    rows = [[t < length for t in range(tokens)] for length in lengths]
    return torch.tensor(rows, dtype=torch.bool).view(len(lengths), tokens)


def attention(heads: int = 3, kv_heads: int = 3, head_width: int = 4, **keys: bool) -> ir.Attention:
    """Attention of a block; keys: rotary, bias, causal."""
    rotary, bias = keys.get("rotary", False), keys.get("bias", True)
    groups = (ir.Group(heads, FULL),)
    turning = ir.Rotary(head_width, 10000.0, interleaved=False, scaling=None) if rotary else None
    sizes = heads, kv_heads, head_width, turning, bias
    causal = keys.get("causal", False)
    return ir.Attention("text", "stream text", (), (), True, groups, *sizes, causal=causal)


def block(feed_forward: ir.FeedForward | None = None, **keys: object) -> ir.Block:
    """A block of width 12 with 3 heads; keys: `attention`, `norm`, `placement`, `dropout`."""
    norm = keys.get("norm", NORM)
    attend = keys.get("attention", attention())
    dropout = keys.get("dropout", 0.0)
    assert isinstance(attend, ir.Attention) and isinstance(dropout, float)
    layer = feed_forward or ir.Mlp(width=7, activation="gelu", bias=True)
    mixers: dict[str, ir.Mixer] = {"attention": attend, "feed_forward": layer}
    before, after, post = PLACES[str(keys.get("placement", "pre"))]

    def where(here: bool) -> ir.Norm | None:
        assert isinstance(norm, ir.Norm)
        return norm if here else None

    norms = where(before), where(after), where(post)
    sublayers = (ir.Sublayer(name, mixer, *norms, dropout) for name, mixer in mixers.items())
    return ir.Block(12, tuple(sublayers))


def stacked(
    *variants: ir.Block,
    depth: int,
    order: tuple[int, ...] = (0,),
    final_norm: ir.Norm | None = None,
    repeat: int = 1,
) -> tuple[ir.Stack, int]:
    """What a stack is made from: the node, and its depth."""
    value = ir.Value("text", (), variants[0].width)
    sizes = order, depth, repeat, final_norm
    return ir.Stack("text_stream", value, value, variants, *sizes, None, "text", None), depth


PLACES = {
    "pre": (True, False, False),
    "post": (False, False, True),
    "sandwich": (True, True, False),
    "branch": (False, True, False),
    "none": (False, False, False),
}
"""Whether there is a norm before, after and of the sum."""


NORM = ir.LayerNorm(1e-5, True)
