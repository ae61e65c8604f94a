"""A spec whose masks are known pair by pair, and what a picture of them must show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import accumulate

SPEC = """
mmspec: 1
name: seen
modalities:
  image: {kind: image, size: [12, 20], patch: 4}
  text: {kind: tokens, vocab: 11, length: {max: 19}}
  audio: {kind: audio, features: 5, rate: 100 Hz, length: {max: 23}}
streams:
  joint:
    from: [image, text, audio]
    depth: 1
    width: 12
    heads: 3
    attention:
      - heads: 2
        mask:
          image -> image: window2d(1)
          text -> image: full
          text -> text: causal
          audio -> text: prefix(7)
          audio -> audio: dilated(step=3, reach=9) | block(5)
      - {heads: 1, mask: {text -> text: "window(before=2, after=0)", text -> audio: full}}
  reader:
    from: {fusion: cross-attention, of: [text, audio], heads: 2, attention: global(2) & prefix(17)}
    depth: 1
    width: 12
    heads: 2
    attention: full
heads:
  label: {from: reader, kind: classifier, classes: 3}
  other: {from: joint, kind: classifier, classes: 3}
"""

Axis = tuple[tuple[str, int], ...]
"""Segments and their tokens."""

Rule = Mapping[tuple[str, str], Callable[[int, int], bool]]
"""Whether a query sees a key, by their segments and indices."""

JOINT: Axis = (("image", 15), ("text", 19), ("audio", 23))

FIRST: Rule = {
    ("image", "image"): lambda q, k: abs(q // 5 - k // 5) <= 1 and abs(q % 5 - k % 5) <= 1,
    ("text", "image"): lambda q, k: True,
    ("text", "text"): lambda q, k: k <= q,
    ("audio", "text"): lambda q, k: k < 7,
    ("audio", "audio"): lambda q, k: (abs(q - k) <= 9 and (q - k) % 3 == 0) or q // 5 == k // 5,
}
SECOND: Rule = {
    ("text", "text"): lambda q, k: 0 <= q - k <= 2,
    ("text", "audio"): lambda q, k: True,
}
CROSS: Rule = {("text", "audio"): lambda q, k: (q < 2 or k < 2) and k < 17}

SKIPPED, WASTED, PARTLY, BORDER, WHOLE = range(5)


def cut(axis: Axis, size: int) -> list[list[tuple[str, int]]]:
    """The tokens of each block of an axis."""
    return [
        [(name, token) for token in range(first, min(first + size, tokens))]
        for name, tokens in axis
        for first in range(0, tokens, size)
    ]


def shown(
    rule: Rule,
    axes: tuple[Axis, Axis],
    cell: tuple[int, int],
    tile: int,
) -> list[list[int]]:
    """What each cell is, cells of so many tokens down and across."""

    def some(queries: list[tuple[str, int]], keys: list[tuple[str, int]]) -> int:
        pairs = [
            (q[0], k[0]) in rule and rule[q[0], k[0]](q[1], k[1]) for q in queries for k in keys
        ]
        return 2 if all(pairs) else 1 if any(pairs) else 0

    rows, columns = cut(axes[0], cell[0]), cut(axes[1], cell[1])
    tiles = [[some(q, k) for k in cut(axes[1], tile)] for q in cut(axes[0], tile)]
    place = [
        {token: at for at, block in enumerate(cut(axis, tile)) for token in block} for axis in axes
    ]
    found = []
    for row in rows:
        line = []
        for column in columns:
            around = tiles[place[0][row[0]]][place[1][column[0]]]
            if max(cell) > tile:
                line.append([SKIPPED, PARTLY, WHOLE][some(row, column)])
            else:
                kinds = [WASTED if around else SKIPPED, PARTLY, WHOLE if around == 2 else BORDER]
                line.append(kinds[some(row, column)])
        found.append(line)
    return found


def stops(axis: Axis, size: int) -> list[int]:
    """Cells up to each border between segments, the first and the last included."""
    return [0, *accumulate(-(-tokens // size) for _, tokens in axis)]
