"""Faults of scores."""

from __future__ import annotations

from dataclasses import replace

from mmspec.compiler import ir
from mmspec.verify.faults.fault import Fault, mixers, plan, reckoned, source, stacks
from mmspec.verify.faults.specs import QUERIED, RANGED, SCORED, SUNK


def _of_all(site: ir.Attention) -> ir.Attention:
    """A norm of each head is of all at once."""
    assert site.scores is not None
    return replace(site, scores=replace(site.scores, together=not site.scores.together))


def _unscaled(site: ir.Attention) -> ir.Attention:
    """Products are divided by the root of the width."""
    assert site.scores is not None
    return replace(site, scores=replace(site.scores, scale=None))


def _everywhere(site: ir.Attention) -> ir.Attention:
    """One of the segments has no scores."""
    assert site.scores is not None
    return replace(site, scores=replace(site.scores, lines=(False, True)))


FAULTS: tuple[Fault, ...] = (
    Fault(
        "scores-scale-lost",
        "products are divided by the root of the width, whatever the spec says",
        QUERIED,
        ("P59", "R1"),
        plan(mixers(ir.Attention, _unscaled)),
    ),
    Fault(
        "sink-lost",
        "weights sum to 1 over the keys, with a sink too",
        SUNK,
        ("P3",),
        source((r" *sink_h=self\.sink\.weight,?\n?", "")),
    ),
    Fault(
        "sink-of-one-head",
        "all heads have the sink of the first",
        SUNK,
        ("P59", "R1"),
        source((r"self\.sink\.weight", "self.sink.weight[:1].expand(6)")),
    ),
    Fault(
        "sink-gradient",
        "a sink has no gradient",
        SUNK,
        ("R1",),
        source((r"sink_gradient\(grad_bhqw, .*\)", "None"), file="runtime/sparse.py"),
    ),
    Fault(
        "sink-in-decoding",
        "the next tokens have another sink",
        SUNK,
        ("P17",),
        source(
            (r"sink_h = attention\.sink\.weight", "sink_h = attention.sink.weight - 9"),
            file="decoding.py",
        ),
    ),
    Fault(
        "qk-norm-of-queries-alone",
        "keys are not normed",
        QUERIED,
        ("P59", "R1"),
        source((r"self\.key_norm\(k_bhtw\)", "k_bhtw")),
    ),
    Fault(
        "qk-norm-of-turned",
        "queries and keys are turned first, and then normed",
        QUERIED,
        ("P59", "R1"),
        source(
            (
                r"( +)(q_bhtw, k_bhtw = self\.query_norm.*)\n( +q_bhtw, k_bhtw = rotate.*)\n",
                r"\3\n\1\2\n",
            ),
        ),
    ),
    Fault(
        "qk-norm-over-heads",
        "a norm of each head is of all heads at once",
        QUERIED,
        ("P59",),
        plan(mixers(ir.Attention, _of_all)),
    ),
    Fault(
        "qk-norm-in-decoding",
        "kept keys are not normed",
        QUERIED,
        ("P17",),
        source((r"k_btf = norm\(.*\n", "k_btf = k_btf\n"), file="decoding.py"),
    ),
    Fault(
        "alibi-slope",
        "slopes are those of half as many heads",
        SCORED,
        ("P3", "P59", "R1"),
        source((r"\(-8 / whole\)", "(-16 / whole)")),
    ),
    Fault(
        "alibi-slopes-go-on",
        "heads past a power of two go on with its series",
        SCORED,
        ("P3", "P59", "R1"),
        source(
            (
                r"\(torch\.arange\(heads - whole, dtype=torch\.float64\) \* 2 \+ 1\)",
                "(torch.arange(whole, heads, dtype=torch.float64) * 2 + 2)",
            ),
        ),
    ),
    Fault(
        "alibi-of-earlier-keys",
        "keys that come later lose nothing",
        SCORED,
        ("P3", "P59", "R1"),
        source((r"offset\.abs\(\)", "offset.clamp(min=0)")),
    ),
    Fault(
        "alibi-by-key-head",
        "query heads that share keys share a slope",
        SCORED,
        ("P3", "P59", "R1"),
        source(
            (r"-slopes_h \* offset", "-slopes_h[::2].repeat_interleave(2, 0) * offset"),
        ),
    ),
    Fault(
        "alibi-of-one-segment",
        "one of two segments with scores has none",
        SCORED,
        ("P3", "P59", "R1"),
        plan(mixers(ir.Attention, _everywhere)),
    ),
    Fault(
        "alibi-in-decoding",
        "the next tokens are as far from kept keys as these are from one another",
        SCORED,
        ("P17",),
        source(
            (r"at_bc\[:, :, None\] - place_bs", "0 * at_bc[:, :, None] - place_bs"),
            file="decoding.py",
        ),
    ),
    Fault(
        "ranges-of-one-side",
        "keys that come later fall into the ranges of earlier ones",
        RANGED,
        ("P3", "P59", "R1"),
        source((r"\(offset < 0\) \* \d", "0")),
    ),
    Fault(
        "ranges-begin-late",
        "the first distance of each range falls into the one before it",
        RANGED,
        ("P3", "P59", "R1"),
        source((r"right=True", "right=False")),
    ),
    Fault(
        "ranges-of-one-head",
        "all heads have the numbers of the first",
        RANGED,
        ("P3", "P59", "R1"),
        source((r"self\.weight\[bucket\]", "self.weight[:, :1].expand_as(self.weight)[bucket]")),
    ),
    Fault(
        "offsets-turned-around",
        "what is learned for a key that comes earlier is added for one that comes later",
        RANGED,
        ("P3", "P59", "R1"),
        source((r"offset\.clamp\(-", "(-offset).clamp(-")),
    ),
    Fault(
        "common-numbers-not-counted",
        "what all layers have in common for distances is no parameter",
        RANGED,
        ("P54",),
        reckoned(stacks(lambda stack: replace(stack, common=None))),
    ),
    Fault(
        "common-numbers-for-another-stream-too",
        "what is learned for distances in a stream is added to its scores of another's tokens",
        RANGED,
        ("P3", "P59", "R1"),
        source((r"if place in places else mask", "if place in places or len(masks) > 1 else mask")),
    ),
    Fault(
        "common-numbers-in-decoding",
        "the next tokens add nothing for distances",
        RANGED,
        ("P17",),
        source((r"mask = next_scored\(.*\n", "pass\n"), file="decoding.py"),
    ),
)
