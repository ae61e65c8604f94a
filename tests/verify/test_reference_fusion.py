"""Fusions of the reference against torch's attention, and limits known beforehand."""

from __future__ import annotations

import torch
from reference_cases import close, normal
from torch import Tensor, nn

from mmspec.schema.spec import Spec
from mmspec.verify.reference import run
from mmspec.verify.strategies import load, weights

SERIES = "{kind: series, features: 3, rate: 1 Hz, length: {max: 5}, optional: true}"


def fused(source: str) -> Spec:
    """Two series read by streams of width 6, joined in stream `j`."""
    return load(
        f"mmspec: 1\nname: case\nmodalities: {{a: {SERIES}, e: {SERIES}}}\n"
        "streams:\n  a: {from: a, depth: 1, width: 6, heads: 2}\n"
        "  e: {from: e, depth: 1, width: 6, heads: 2}\n"
        f"  j: {{from: {source}, depth: 1, width: 6, heads: 2}}\n"
        "heads:\n  y: {from: j, kind: regressor, outputs: 2}\n"
    )


def batch() -> dict[str, Tensor]:
    return {"a": normal(2, 4, 3), "e": normal(2, 5, 3, seed=1)}


def test_gates_are_shares_of_the_sources_present() -> None:
    spec = fused("{fusion: gated, of: [a, e]}")
    lengths = {"a": torch.tensor([4, 0]), "e": torch.tensor([2, 3])}
    w = weights(spec, 0)
    result = run(spec, w, batch(), lengths)
    gates = result.statistics["j.gates"]
    close(gates[0].sum(0), torch.ones(6, dtype=torch.float64))
    close(gates[1], torch.tensor([[0.0] * 6, [1.0] * 6], dtype=torch.float64))
    close(result.trace["j.fused"][1], result.trace["e.tokens"][1])
    means = torch.cat([result.trace[f"{m}.tokens"][0].mean(0) for m in "ae"])
    raw = (w["j_fusion.gate.weight"] @ means + w["j_fusion.gate.bias"]).reshape(2, 6)
    close(gates[0], torch.softmax(raw, 0))
    close(result.trace["j.fused"][0][:4], result.trace["a.tokens"][0] * gates[0, 0])


def _peer(w: dict[str, Tensor], query: Tensor, context: Tensor) -> Tensor:
    """The fusions' attention by nn.MultiheadAttention and nn.functional.layer_norm."""
    part = {name: w[f"j_fusion.attention.{name}"] for name in _names()}
    layer = nn.MultiheadAttention(6, 2, batch_first=True).double()
    layer.load_state_dict(
        {
            "in_proj_weight": torch.cat([part["query.weight"], part["key_value.weight"]]),
            "in_proj_bias": torch.cat([part["query.bias"], part["key_value.bias"]]),
            "out_proj.weight": part["output.weight"],
            "out_proj.bias": torch.zeros(6, dtype=torch.float64),
        }
    )
    q, c = (
        nn.functional.layer_norm(x, (6,), part[f"{n}.weight"], part[f"{n}.bias"], 1e-5)
        for x, n in ((query, "norm_query"), (context, "norm_context"))
    )
    read: Tensor = layer(q[None], c[None], c[None])[0]
    return read[0]


def _names() -> list[str]:
    linears = [f"{n}.{p}" for n in ("query", "key_value") for p in ("weight", "bias")]
    norms = [f"norm_{n}.{p}" for n in ("query", "context") for p in ("weight", "bias")]
    return [*linears, *norms, "output.weight"]


def test_cross_attention_is_torchs() -> None:
    spec = fused("{fusion: cross-attention, of: [a, e]}")
    w = weights(spec, 0)
    trace = run(spec, w, batch()).trace
    a, e = trace["a.tokens"][1], trace["e.tokens"][1]
    close(trace["j.fused"][1], a + _peer(w, a, e))


def test_latents_are_torchs() -> None:
    spec = fused("{fusion: attention, of: [a, e], queries: 3}")
    w = weights(spec, 0)
    trace = run(spec, w, batch()).trace
    queries = w["j_fusion.queries"]
    both = torch.cat([trace["a.tokens"][0], trace["e.tokens"][0]])
    close(trace["j.fused"][0], queries + _peer(w, queries, both))


def test_an_absent_context_adds_exactly_nothing() -> None:
    spec = fused("{fusion: cross-attention, of: [a, e]}")
    trace = run(spec, weights(spec, 0), {**batch(), "e": None}).trace
    assert torch.equal(trace["j.fused"][0], trace["a.tokens"][0])


def test_latents_that_see_nothing_are_the_queries() -> None:
    spec = fused("{fusion: attention, of: [a, e], queries: 3}")
    w, lengths = weights(spec, 0), {"a": torch.tensor([0, 4]), "e": torch.tensor([0, 0])}
    trace = run(spec, w, batch(), lengths).trace
    assert torch.equal(trace["j.fused"][0], w["j_fusion.queries"])
    assert not torch.equal(trace["j.fused"][1], w["j_fusion.queries"])


def test_transformer_marks_each_source() -> None:
    spec = fused("{fusion: transformer, of: [a, e]}")
    w = weights(spec, 0)
    last = ("attention.output", "feed_forward.down")
    w |= {n: torch.zeros_like(w[n]) for n in w if n.startswith("j_f") and any(x in n for x in last)}
    trace = run(spec, w, batch()).trace
    expected = torch.cat(
        [trace[f"{m}.tokens"][0] + w["j_fusion.source"][i] for i, m in enumerate("ae")]
    )
    close(trace["j.fused"][0], expected)
