"""Small specs that faults are planted in; sizes differ so that no axis can stand for another."""

from __future__ import annotations

from typing import Final

JOINED: Final = """\
mmspec: 1
name: joined
modalities:
  image: {kind: image, size: [6, 9], channels: 2, patch: 3, position: sincos-2d, optional: true}
  text: {kind: tokens, vocab: 13, length: {max: 11}, position: learned, optional: true}
  row:
    kind: table
    columns: {age: number, side: {categories: 3}, size: number, kind: {categories: 2}}
streams:
  image: {from: image, depth: 1, width: 12, heads: 2, norm: {kind: rms, eps: 1e-3}}
  text:
    from: text
    depth: 2
    width: 12
    heads: 3
    attention: window(before=2, after=1) | global(1)
  joint:
    from: {fusion: gated, of: [image, text]}
    depth: 1
    width: 10
    heads: 5
  both:
    from: [joint, row]
    depth: 1
    width: 10
    heads: 2
    feed_forward: {kind: by-modality, width: 7}
heads:
  label: {from: both, kind: classifier, classes: 5}
  first: {from: joint, kind: regressor, outputs: 3, pool: first}
  last: {from: text, kind: regressor, outputs: 2, pool: last}
objectives:
  label: {smoothing: 0.2}
  first: {weight: 0.5}
"""
CAPTION: Final = """\
mmspec: 1
name: caption
modalities:
  image: {kind: image, size: [4, 6], channels: 3, patch: 2, position: learned}
  text: {kind: tokens, vocab: 17, length: {max: 12}, position: rotary}
streams:
  joint:
    from: [image, text]
    depth: 2
    width: 16
    heads: 4
    kv_heads: 2
    head_width: 6
    norm: rms
    attention:
      image -> image: full
      text -> image: full
      text -> text: causal & window(before=3)
    feed_forward: {kind: glu, width: 11, activation: silu}
heads:
  next: {from: joint, kind: language-model, modality: text}
"""
ROUTED: Final = """\
mmspec: 1
name: routed
modalities:
  text: {kind: tokens, vocab: 13, length: {max: 14}, position: sincos}
streams:
  text:
    from: text
    depth: 2
    width: 12
    heads: 3
    attention: causal
    feed_forward: {kind: experts, experts: 5, choose: 2, width: 7, balance: 0.3}
  late:
    from: text
    depth: 1
    width: 8
    heads: 2
    attention: causal & dilated(step=2, reach=4)
    feed_forward: {kind: switch, experts: 3}
heads:
  next: {from: late, kind: language-model, tied: false}
"""
PONDERED: Final = """\
mmspec: 1
name: pondered
modalities:
  digits: {kind: tokens, vocab: 11, length: {max: 9}, position: learned}
streams:
  digits:
    from: digits
    depth: 2
    width: 12
    heads: 3
    norm: {kind: layer, eps: 1e-2, placement: post}
    final_norm: true
    halting: {kind: ponder, at_most: 4, prior: 0.3, weight: 0.5, threshold: 0.9}
heads:
  total: {from: digits, kind: regressor, outputs: 2}
"""
ADAPTED: Final = PONDERED.replace("name: pondered", "name: adapted").replace(
    "kind: ponder, at_most: 4, prior: 0.3,", "kind: act, at_most: 4,"
)
LEAVING: Final = """\
mmspec: 1
name: leaving
modalities:
  motion: {kind: series, features: 3, rate: 50 Hz, length: {max: 17}, patch: 4, position: learned}
streams:
  motion:
    from: motion
    depth: 5
    width: 12
    heads: 3
    halting: {kind: exit, head: label, threshold: 0.7, every: 2}
heads:
  label: {from: motion, kind: classifier, classes: 4}
"""
TOWERS: Final = """\
mmspec: 1
name: towers
modalities:
  image: {kind: image, size: [6, 4], patch: 2, position: sincos}
  audio: {kind: audio, features: 5, rate: 100 Hz, length: {max: 13}, patch: 2, optional: true}
streams:
  image: {from: image, depth: 1, width: 12, heads: 2}
  audio:
    from: audio
    depth: 1
    width: 10
    heads: 5
    attention: block(3)
    feed_forward: {kind: mlp, activation: quick-gelu}
heads:
  match: {from: [image, audio], kind: contrastive, width: 6, temperature: 0.2}
"""
NORMED: Final = """\
mmspec: 1
name: normed
modalities:
  text: {kind: tokens, vocab: 13, length: {max: 12}, position: learned}
streams:
  text: {from: text, depth: 1, width: 12, heads: 2, attention: causal, norm: group(2)}
heads:
  next: {from: text, kind: language-model, tied: false}
"""
FILMED: Final = """\
mmspec: 1
name: filmed
modalities:
  text: {kind: tokens, vocab: 13, length: {max: 12}, position: learned}
  image: {kind: image, size: [4, 6], channels: 1, patch: 2, position: learned, optional: true}
  pulse: {kind: series, features: 2, rate: 10 Hz, length: {max: 9}, optional: true}
streams:
  text: {from: text, depth: 1, width: 6, heads: 2, attention: causal}
  joint:
    from: {fusion: film, of: [text, image, pulse]}
    depth: 1
    width: 10
    heads: 2
    attention: causal
heads:
  next: {from: joint, kind: language-model, tied: false}
  label: {from: joint, kind: classifier, classes: 3}
"""

CROSSED: Final = """\
mmspec: 1
name: crossed
modalities:
  text: {kind: tokens, vocab: 13, length: {max: 12}, position: sincos}
  image: {kind: image, size: [4, 6], channels: 1, patch: 2, position: learned, optional: true}
  pulse:
    kind: series
    features: 2
    rate: 10 Hz
    length: {max: 9}
    position: sincos
    optional: true
streams:
  text: {from: text, depth: 1, width: 12, heads: 3, attention: causal}
  reader:
    from: {fusion: cross-attention, of: [text, image, pulse], heads: 2}
    depth: 1
    width: 12
    heads: 4
    attention: causal
    norm: {kind: layer, placement: post}
  marked:
    from: {fusion: transformer, of: [reader, pulse], heads: 6}
    depth: 1
    width: 12
    heads: 2
  whole:
    from: {fusion: attention, of: [marked, image], queries: 3}
    depth: 1
    width: 12
    heads: 3
heads:
  next: {from: reader, kind: language-model}
  label: {from: whole, kind: classifier, classes: 5}
"""
DROPPED: Final = """\
mmspec: 1
name: dropped
modalities:
  text: {kind: tokens, vocab: 13, length: {max: 60}, position: rotary}
streams:
  text: {from: text, depth: 2, width: 12, heads: 2, dropout: 0.25, attention: causal}
heads:
  label: {from: text, kind: classifier, classes: 3}
"""
PLACED: Final = """\
mmspec: 1
name: placed
modalities:
  photo: {kind: image, size: [10, 14], channels: 1, patch: 2, position: learned}
streams:
  near:
    from: photo
    depth: 1
    width: 12
    heads: 4
    kv_heads: 2
    attention:
      - {heads: 2, mask: window2d(1)}
      - {heads: 2, mask: "shifted_window(size=3, shift=1)"}
  along: {from: near, depth: 1, width: 12, heads: 3, attention: axial(row)}
heads:
  label: {from: along, kind: classifier, classes: 3}
"""
HEARD: Final = """\
mmspec: 1
name: heard
modalities:
  voice: {kind: audio, features: 2, rate: 100 Hz, length: {max: 48}, patch: 2, position: learned}
  pulse: {kind: series, features: 3, rate: 12.5 Hz, length: {max: 7}, optional: true}
streams:
  both:
    from: [voice, pulse]
    depth: 1
    width: 10
    heads: 2
    attention:
      voice -> voice: causal & within(60 ms)
      voice -> pulse: within(80 ms)
      pulse -> voice: within(0.16 s)
      pulse -> pulse: shifted_window(size=3, shift=2)
heads:
  tempo: {from: both, kind: regressor, outputs: 1}
"""
READ: Final = """\
mmspec: 1
name: read
modalities:
  text: {kind: tokens, vocab: 11, length: {max: 200}, position: learned}
streams:
  letters: {from: text, depth: 1, width: 8, heads: 2, attention: "causal & strided(3) | prefix(2)"}
  words: {from: letters, depth: 1, width: 8, heads: 2, attention: "random(1, seed=5) & causal"}
  pages: {from: words, depth: 1, width: 8, heads: 2, attention: causal & document}
heads:
  next: {from: pages, kind: language-model, tied: false}
"""
SPOKEN: Final = """\
mmspec: 1
name: spoken
modalities:
  image: {kind: image, size: [4, 6], channels: 2, patch: 2, position: learned, optional: true}
  text: {kind: tokens, vocab: 13, length: {max: 14}, position: rotary}
streams:
  joint:
    from: [image, text]
    depth: 2
    width: 10
    heads: 2
    head_width: 6
    norm: rms
    attention: {image -> image: full, text -> image: full, text -> text: window(before=3)}
heads:
  next: {from: joint, kind: language-model}
"""
STARTED: Final = """\
mmspec: 1
name: started
init: gpt2
modalities:
  text: {kind: tokens, vocab: 13, length: {max: 7}, position: learned}
  row: {kind: table, columns: {age: number, side: {categories: 3}}}
streams:
  text:
    from: text
    depth: 2
    width: 12
    heads: 2
    feed_forward: {kind: experts, experts: 3, choose: 2, width: 14}
  asked: {from: {fusion: attention, of: [row], queries: 3}, depth: 1, width: 12, heads: 2}
  joint:
    from: {fusion: transformer, of: [text, asked], depth: 2}
    depth: 1
    width: 12
    heads: 2
    feed_forward: {kind: by-modality, width: 10}
    halting: {kind: ponder, at_most: 3, prior: 0.3}
heads:
  label: {from: joint, kind: classifier, classes: 5}
"""
CUT: Final = """\
mmspec: 1
name: cut
init: truncated-normal(0.1)
modalities:
  motion: {kind: series, features: 3, rate: 50 Hz, length: {max: 17}, position: learned}
streams:
  motion: {from: motion, depth: 2, width: 12, heads: 3, norm: rms}
heads:
  label: {from: motion, kind: classifier, classes: 4}
"""
ALL: Final = {
    "joined": JOINED,
    "caption": CAPTION,
    "routed": ROUTED,
    "pondered": PONDERED,
    "adapted": ADAPTED,
    "leaving": LEAVING,
    "towers": TOWERS,
    "crossed": CROSSED,
    "normed": NORMED,
    "filmed": FILMED,
    "dropped": DROPPED,
    "placed": PLACED,
    "heard": HEARD,
    "read": READ,
    "spoken": SPOKEN,
    "started": STARTED,
    "cut": CUT,
}
PACKED: Final = """\
mmspec: 1
name: papers
modalities:
  text: {kind: tokens, vocab: 13, length: {max: 24}, position: learned}
streams:
  text: {from: text, depth: 1, width: 12, heads: 3, attention: document & strided(4)}
  last:
    from: text
    depth: 2
    width: 12
    heads: 3
    attention: causal & document & window(before=3)
heads:
  next: {from: last, kind: language-model}
"""
PREFIXED: Final = """\
mmspec: 1
name: prefixed
modalities:
  text: {kind: tokens, vocab: 13, length: {max: 14}, position: learned}
streams:
  text:
    from: text
    depth: 2
    width: 12
    heads: 3
    attention: causal | prefix(4)
heads:
  next: {from: text, kind: language-model}
"""
