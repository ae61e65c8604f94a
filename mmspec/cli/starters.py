"""The commented specs that `mmspec new` writes, one a kind; `NAME` becomes the spec's name."""

from __future__ import annotations

from typing import Final

_CLASSIFIER: Final = """\
# NAME: an image and a text, joined by learned gates, sorted into classes.
mmspec: 1                      # the version of the language
name: NAME                     # becomes the package and, in CamelCase, the class
about: an image and a text, sorted into classes

dims: {d: 64}                  # names for sizes; write 4*d wherever a size is asked for

# What goes in. An optional modality may be absent, from a batch or from single samples.
modalities:
  image: {kind: image, size: [64, 64], channels: 3, patch: 8, position: sincos-2d, optional: true}
  text: {kind: tokens, vocab: 256, length: {max: 48}, position: learned, optional: true}

# Stacks of transformer blocks. A stream reads modalities, other streams, or a fusion of them.
streams:
  image: {from: image, depth: 2, width: d, heads: 4}
  text:
    from: text
    depth: 2
    width: d
    heads: 4
    attention: window(before=8, after=8) | global(1)   # also: full, causal, dilated, block; ~ & |
  joint:
    from: {fusion: gated, of: [image, text]}           # also: concat, cross-attention, film
    depth: 2
    width: d
    heads: 4
    # feed_forward: {kind: experts, experts: 4, choose: 2, balance: 0.01}
    # halting: {kind: ponder, at_most: 4, prior: 0.3}

# What comes out.
heads:
  label: {from: joint, kind: classifier, classes: 9}

# What must hold: `mmspec verify` proves, tests or refutes each of these.
claims:
  - params <= 0.5M
  - no flow from image to text
"""

_LANGUAGE_MODEL: Final = """\
# NAME: a causal language model over bytes.
mmspec: 1                      # the version of the language
name: NAME                     # becomes the package and, in CamelCase, the class
about: a language model over bytes

dims: {d: 128}                 # names for sizes; write 4*d wherever a size is asked for

modalities:
  text: {kind: tokens, vocab: 256, length: {max: 256}, position: rotary}

streams:
  text:
    from: text
    depth: 4
    width: d
    heads: 4
    attention: causal          # also: causal & window(before=63), which costs O(text)
    norm: rms
    feed_forward: {kind: glu, width: 2*d, activation: silu}
    bias: false

heads:
  next: {from: text, kind: language-model, tied: true}

# What must hold: `mmspec verify` proves, tests or refutes each of these.
claims:
  - params <= 1M
  - causal(text)
"""

_CONTRASTIVE: Final = """\
# NAME: an image tower and a text tower that meet in one space.
mmspec: 1                      # the version of the language
name: NAME                     # becomes the package and, in CamelCase, the class
about: matches images with texts

dims: {d: 64}                  # names for sizes; write 4*d wherever a size is asked for

modalities:
  image: {kind: image, size: [64, 64], channels: 3, patch: 8, position: sincos-2d}
  text: {kind: tokens, vocab: 256, length: {max: 48}, position: learned}

streams:
  image: {from: image, depth: 3, width: d, heads: 4}
  text: {from: text, depth: 3, width: d, heads: 4}

heads:
  match: {from: [image, text], kind: contrastive, width: d, temperature: 0.07}

# What must hold: `mmspec verify` proves, tests or refutes each of these.
claims:
  - params <= 1M
  - no flow from image to text
  - no flow from text to image
"""

_SENSORS: Final = """\
# NAME: two synchronous sensors and a row of a table, sorted into classes.
mmspec: 1                      # the version of the language
name: NAME                     # becomes the package and, in CamelCase, the class
about: two sensors and what is known of who wears them

dims: {d: 64}                  # names for sizes; write 4*d wherever a size is asked for

# `patch` frames make one token; a table gives one token a column.
modalities:
  motion:
    {kind: series, features: 3, rate: 50 Hz, length: {max: 100}, patch: 5, position: learned}
  turning:
    kind: series
    features: 3
    rate: 50 Hz
    length: {max: 100}
    patch: 5
    position: learned
    optional: true
  wearer: {kind: table, columns: {age: number, side: {categories: 2}}, optional: true}

streams:
  motion: {from: motion, depth: 2, width: d, heads: 4, attention: "window(before=4, after=4)"}
  turning: {from: turning, depth: 2, width: d, heads: 4, attention: "window(before=4, after=4)"}
  joint:
    from: {fusion: transformer, of: [motion, turning, wearer]}
    depth: 1
    width: d
    heads: 4

heads:
  exercise: {from: joint, kind: classifier, classes: 7}

# What must hold: `mmspec verify` proves, tests or refutes each of these.
claims:
  - params <= 0.5M
  - pairs(motion) in O(motion)
"""

STARTERS: Final[dict[str, str]] = {
    "classifier": _CLASSIFIER,
    "language-model": _LANGUAGE_MODEL,
    "contrastive": _CONTRASTIVE,
    "sensors": _SENSORS,
}
