"""The strategies: every spec is valid, every feature is drawn, what is shrunk is small."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

import pytest
import torch
from hypothesis import HealthCheck, Phase, find, given, seed, settings
from hypothesis import strategies as st
from large import is_deep

from mmspec.compiler.lower.lower import lower
from mmspec.schema.bias import RowBiases
from mmspec.schema.pool import leads, mark
from mmspec.schema.spec import Spec
from mmspec.verify.reference import expected_state
from mmspec.verify.strategies import inputs, load, spec_dicts, specs, weights

_ALL = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
FAST = settings(max_examples=400, deadline=None, suppress_health_check=_ALL)

OPTIONALS = """\
mmspec: 1
name: optionals
modalities:
  image: {kind: image, size: [4, 6], patch: 2, optional: true}
  text: {kind: tokens, vocab: 7, length: {max: 5}, optional: true}
streams:
  joint: {from: [image, text], depth: 1, width: 3, heads: 1}
heads:
  label: {from: joint, kind: classifier, classes: 5}
"""


def features(spec: Spec) -> set[str]:
    """What a spec uses, in words."""
    found = {f"{m.kind} {m.position.kind}" for m in spec.modalities.values()}
    found |= {f"optional {m.optional}" for m in spec.modalities.values()}
    found |= {h.kind for h in spec.heads.values()} | {spec.loss_of(name) for name in spec.heads}
    for h in spec.heads.values():
        found |= {"biased logits"} if getattr(h, "bias", False) else set()
        found |= {"path of logits"} if h.predicts and h.path else set()
    for m in spec.modalities.values():
        found |= {f"tokens by {m.norm.kind}"} | ({"scaled tokens"} if m.scale != 1 else set())
        found |= {"patch"} if isinstance(m.bias, RowBiases) else set()
        found |= {word for word in ("ngrams", "stem") if getattr(m, word, None)}
        found |= {"stem over time"} if getattr(m, "stem", None) and m.varies else set()
        found |= {f"added {type(one).__name__}" for one in m.add.values()}
        found |= {"lead"} if m.lead else set()
        found |= {"tied"} if getattr(m, "tied", None) else set()
    found |= {"pool of a lead" for h in spec.heads.values() if any(map(leads, h.pools))}
    found |= {
        "mean of leads" for h in spec.heads.values() if any(p[:5] == "mean(" for p in h.pools)
    }
    found |= {"marked" for h in spec.heads.values() if any(mark(p) is not None for p in h.pools)}
    for stream in spec.streams.values():
        found |= {"path of a source"} if stream.source.through else set()
        found |= {f"pool {getattr(stream.source, 'pool', 'none')}"}
        found |= {stream.source.fusion, stream.feed_forward.kind, stream.feed_forward.activation}
        found |= {stream.norm.kind, stream.norm.placement}
        found |= {"offset"} if getattr(stream.norm, "offset", None) else set()
        found |= {"own final norm"} if not isinstance(stream.final_norm, bool) else set()
        bias = stream.bias
        found |= (
            {f"bias {bias}"} if isinstance(bias, bool) else {*bias.model_dump(exclude_none=True)}
        )
        found.add(stream.halting.kind if stream.halting else "no halting")
        found.add("pairs" if stream.attention.pairs else "one mask")
        found |= {"shared keys"} if stream.kv_heads < stream.heads else set()
        found |= {"own head width"} if stream.head_width * stream.heads != stream.width else set()
        found |= {"no final norm"} if not stream.final_norm else set()
        found |= {word for entry in stream.block for word in (entry.word, "block")}
        found |= {"cross" for one in stream.every if one.cross}
        found |= {one.scale.kind for one in stream.every if not isinstance(one.scale, int | float)}
        found |= {"norm_keys" for one in stream.every if one.norm_keys}
        said = [one.of.scores for one in stream.every if one.of.scores is not None]
        found |= {kind.name() for scores in said for kind in scores.kinds()}
        found |= {"common numbers" for scores in said if scores.tied}
        found |= {"turned otherwise" for kind in stream.variants.values() if kind.rotary}
    plan = lower(spec)
    found |= {"separate documents"} if plan.separate else set()
    found |= {"tokens without a loss"} if any(head.told for head in plan.heads) else set()
    return found


EXPECTED = (
    {f"tokens {p}" for p in ("none", "learned", "sincos", "rotary")}
    | {f"image {p}" for p in ("none", "learned", "sincos", "rotary", "sincos-2d")}
    | {f"video {p}" for p in ("none", "learned", "sincos", "rotary", "sincos-2d")}
    | {"table none", "table learned", "series sincos", "series rotary", "optional True"}
    | {"classifier", "regressor", "language-model", "contrastive"}
    | {"concat", "gated", "attention", "cross-attention", "transformer"}
    | {"mlp", "glu", "experts", "switch", "by-modality", "gelu-tanh", "relu", "silu", "quick-gelu"}
    | {"rms", "group", "post", "bias False", "ponder", "act", "exit", "pairs", "shared keys"}
    | {"sandwich", "branch", "none", "offset", "own final norm"}
    | {"linear", "query", "key", "value", "output", "up", "gate", "down", "router", "norm"}
    | {
        "block",
        "parallel",
        "cross",
        "norm_keys",
        "learned",
        "gate",
        "film",
        *("sigmoid-gated", "weighted-sum", "bilinear", "pool others"),
        *("alibi", "buckets", "offsets", "common numbers", "turned otherwise"),
        "scaled tokens",
        *("path of a source", "masked", "biased logits", "path of logits"),
        *("added Categories", "added Numbers", "lead", "tied", "pool of a lead", "marked"),
        "mean of leads",
        "tokens by layer",
        "tokens by rms",
        "tokens by group",
        "patch",
        "ngrams",
        *("stem", "stem over time"),
        "own head width",
        "no final norm",
        "separate documents",
        "tokens without a loss",
    }
)


SEEDS = (3, 4, 5)


class AllSeen(Exception):
    """There is no more to be drawn."""


@pytest.mark.deep
def test_every_spec_is_valid_and_every_feature_is_drawn() -> None:
    """Some 180 specs have all of it, or those of another seed the rest; `make deep` draws all."""
    seen: Counter[str] = Counter()

    @settings(FAST, database=None, phases=[Phase.generate], report_multiple_bugs=False)
    @given(specs())
    def collect(text: str) -> None:
        seen.update(features(load(text)))
        if seen.keys() >= EXPECTED and not is_deep():
            raise AllSeen

    with suppress(AllSeen):
        for number in SEEDS:
            seed(number)(collect)()
    assert EXPECTED - set(seen) == set()


@pytest.mark.deep
def test_what_is_shrunk_is_small() -> None:
    """What shrinking goes towards, which is drawn first; `make deep` goes on from there."""
    phases = [Phase.generate, *[Phase.shrink] * is_deep()]
    steady = settings(FAST, derandomize=True, database=None, phases=phases)
    smallest = find(specs(), lambda text: True, settings=steady)
    assert len(smallest.splitlines()) <= 12, smallest


@settings(max_examples=400 if is_deep() else 20)
@given(st.data())
def test_inputs_fit_their_spec(data: st.DataObject) -> None:
    spec = load(data.draw(specs()))
    batch = data.draw(inputs(spec))
    assert set(batch.tensors) == set(batch.lengths) == set(spec.modalities)
    assert set(batch.targets) == set(spec.heads)
    assert 2 <= batch.batch <= 4
    for name, values in batch.tensors.items():
        lengths = batch.lengths[name]
        assert lengths.shape == (batch.batch,) and lengths.dtype == torch.int64
        if values is None:
            assert spec.modalities[name].optional and int(lengths.sum()) == 0
            continue
        if not spec.modalities[name].optional:
            assert bool((lengths > 0).all())
        sequential = spec.modalities[name].kind not in ("image", "table")
        assert int(lengths.max()) <= (values.shape[1] if sequential else 1)
        assert bool(torch.isfinite(values).all())
    if not all(modality.optional for modality in spec.modalities.values()):
        assert bool((torch.stack(list(batch.lengths.values())).sum(0) > 0).all())
    assert any(values is not None for values in batch.tensors.values())


def test_where_all_is_optional_a_sample_may_have_nothing() -> None:
    spec = load(OPTIONALS)
    found = find(inputs(spec), lambda batch: not sum(n[0] for n in batch.lengths.values()))
    assert not int(found.lengths["text"][0])
    assert any(values is not None for values in found.tensors.values())


@settings(max_examples=10)
@given(st.data())
def test_a_selection_keeps_its_samples(data: st.DataObject) -> None:
    spec = load(data.draw(specs()))
    batch = data.draw(inputs(spec, batch=(3, 3), absent=False))
    part = batch.select([2, 0])
    assert part.batch == 2 and "batch of 2" in part.describe()
    for name, values in batch.tensors.items():
        found = part.tensors[name]
        assert values is not None and found is not None
        assert torch.equal(found[0], values[2]) and part.lengths[name][1] == batch.lengths[name][0]


@settings(max_examples=10)
@given(spec_dicts(), st.integers(0, 5))
def test_weights_have_every_name_and_a_seed_decides_them(body: dict[str, object], n: int) -> None:
    import yaml

    spec = load(yaml.safe_dump(body, sort_keys=False))
    first, again = weights(spec, n), weights(spec, n)
    assert {name: tuple(w.shape) for name, w in first.items()} == expected_state(spec)
    assert all(torch.equal(first[name], again[name]) and bool(first[name].all()) for name in first)
