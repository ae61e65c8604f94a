"""Specs for the tests of costs: the shipped ones, and two that hold what those leave out."""

from __future__ import annotations

from pathlib import Path

SHIPPED = tuple(sorted((Path(__file__).parents[2] / "specs").glob("*.yaml")))

DENSE = """
mmspec: 1
name: dense
modalities:
  text: {kind: tokens, vocab: 31, length: {max: 17}, position: learned}
  image: {kind: image, size: [16, 8], channels: 3, patch: 4, position: sincos-2d, optional: true}
streams:
  text:
    from: text
    depth: 2
    width: 20
    heads: 5
    dropout: 0.1
    norm: {kind: rms, placement: post}
    final_norm: true
    feed_forward: {kind: glu, width: 24, activation: quick-gelu}
    attention: causal
  image:
    from: image
    depth: 3
    width: 12
    heads: 3
    head_width: 6
    norm: {kind: layer, placement: post}
    feed_forward: {kind: mlp, width: 20, activation: relu}
  seen:
    from: image
    depth: 3
    width: 12
    heads: 3
    norm: {kind: layer, placement: post}
    halting: {kind: exit, head: what, threshold: 0.5, every: 2}
  both:
    from: {fusion: gated, of: [text, image]}
    depth: 1
    width: 20
    heads: 4
    kv_heads: 2
    bias: false
    feed_forward: {kind: by-modality, width: 16, activation: silu}
    halting: {kind: ponder, at_most: 3, prior: 0.5, weight: 0}
heads:
  what: {from: seen, kind: classifier, classes: 3, pool: first}
  next: {from: text, kind: language-model, tied: false}
  same: {from: text, kind: language-model, tied: true}
  where: {from: both, kind: regressor, outputs: 2, pool: last}
"""

SPARSE = """
mmspec: 1
name: thin
modalities:
  text: {kind: tokens, vocab: 31, length: {max: 17}, position: rotary}
  row:
    kind: table
    position: learned
    columns: {one: number, two: {categories: 4}, three: number, four: {categories: 3}}
  audio: {kind: audio, features: 3, rate: 10 Hz, length: {max: 23}, patch: 1}
streams:
  text:
    from: [text, row]
    depth: 2
    width: 20
    heads: 5
    attention:
      text -> text: causal & dilated(step=3, reach=9)
      text -> row: global(2)
      row -> row: full
    norm: {kind: layer, placement: post}
    feed_forward: {kind: by-modality, width: 20}
    halting: {kind: ponder, at_most: 4, prior: 0.5, weight: 0.1}
  sound:
    from: audio
    depth: 4
    width: 20
    heads: 5
    attention: window(before=3, after=2) & ~block(5)
    bias: false
    norm: rms
    dropout: 0.2
    feed_forward: {kind: switch, experts: 3, width: 14, activation: relu}
  heard:
    from: sound
    depth: 4
    width: 20
    heads: 5
    bias: false
    norm: rms
    halting: {kind: exit, head: what, threshold: 0.5, every: 3}
  once:
    from: text
    depth: 1
    width: 20
    heads: 2
    attention: {text -> text: "~causal | block(4)", row -> text: "~global(1)"}
    feed_forward:
      {kind: experts, experts: 4, choose: 3, renormalise: false, activation: quick-gelu}
    halting: {kind: ponder, at_most: 1, prior: 0.5}
  far:
    from: {fusion: attention, of: [text, sound], queries: 3, heads: 2}
    depth: 1
    width: 20
    halting: {kind: act, at_most: 3, weight: 0}
    heads: 4
  farther:
    from:
      fusion: cross-attention
      of: [once, far, sound]
      heads: 4
      attention: {text -> audio: "global(3) & ~global(1)", row -> far: full}
    depth: 1
    width: 20
    heads: 2
  blend:
    from: {fusion: transformer, of: [farther, sound], heads: 2, depth: 2}
    depth: 1
    width: 16
    heads: 4
heads:
  what: {from: heard, kind: classifier, classes: 3, pool: first}
  where: {from: blend, kind: regressor, outputs: 2, pool: last}
  pair: {from: [farther, blend], kind: contrastive, width: 6}
"""

LAYERED = """\
mmspec: 1
name: layered
modalities:
  text: {kind: tokens, vocab: 31, length: {max: 17}, position: rotary}
streams:
  text:
    from: text
    depth: 2
    width: 16
    heads: 4
    attention: causal
    dropout: 0.2
    block:
      - {feed_forward: {width: 7}, scale: 0.5, dropout: 0.1}
      - {parallel: [attention, {attention: causal & window(before=2), bias: false}], norm: shared}
      - {parallel: [feed_forward, {feed_forward: {kind: glu}, norm: rms}, attention], name: three}
  bare:
    from: text
    depth: 2
    width: 16
    heads: 4
    norm: none
    block: [{parallel: [feed_forward, attention]}]
  each:
    from: text
    depth: 1
    width: 16
    heads: 4
    block: [{feed_forward: {kind: by-modality, width: 5}}]
  after:
    from: bare
    depth: 1
    width: 16
    heads: 4
    norm: {placement: sandwich}
    block: [{parallel: [attention, {feed_forward: same, norm: {placement: branch}}]}, feed_forward]
heads:
  next: {from: text, kind: language-model, tied: false}
  label: {from: after, kind: classifier, classes: 3}
  sort: {from: each, kind: classifier, classes: 2}
"""

EXTRA = {"dense": DENSE, "sparse": SPARSE, "layered": LAYERED}
