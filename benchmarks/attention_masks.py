"""The masks that attention is measured on, in the language of the specs: a length -> a mask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import torch
from torch import Tensor

from mmspec.compiler.relations.geometry import Clock, Geometry, grid, line, volume
from mmspec.compiler.relations.sequence import SequenceMask, Side
from mmspec.compiler.relations.tables import Documents
from mmspec.expressions.mask import parse, parse_pair


@dataclass(frozen=True)
class Case:
    """A mask at one length, and who sees whom by its words: bool [q, k]."""

    mask: SequenceMask
    lengths: dict[str, int]
    seen: Callable[[], Tensor]
    documents: Documents | None = None
    causal: bool = False
    """Whether SDPA has a way of its own for it."""

    @property
    def values(self) -> tuple[int, ...]:
        """The lengths as a pattern takes them."""
        return tuple(self.lengths[symbol] for symbol in self.mask.parameters)

    @cached_property
    def seen_qk(self) -> Tensor:
        """Made once."""
        return self.seen()


def _mask(
    queries: dict[str, Geometry], keys: dict[str, Geometry], shown: dict[str, str]
) -> SequenceMask:
    """Of segments by name, and pairs as a spec writes them."""
    sides = [tuple(Side(*item) for item in segments.items()) for segments in (queries, keys)]
    return SequenceMask(
        sides[0], sides[1], tuple((*parse_pair(p), parse(text)) for p, text in shown.items())
    )


def _alone(geometry: Geometry, text: str) -> SequenceMask:
    return _mask({"x": geometry}, {"x": geometry}, {"x -> x": text})


def _places(length: int) -> tuple[Tensor, Tensor]:
    place = torch.arange(length)
    return place[:, None], place


def _causal(length: int) -> Case:
    return Case(
        _alone(line("n"), "causal"),
        {"n": length},
        lambda: torch.ones(length, length, dtype=torch.bool).tril(),
        causal=True,
    )


def _window(length: int) -> Case:
    """Causal, 512 keys; a quarter of the sequence where that is less."""
    keys = min(512, length // 4)
    q, k = _places(length)
    mask = _alone(line("n"), f"window(before={keys - 1})")
    return Case(mask, {"n": length}, lambda: (k <= q) & (q - k < keys))


def _documents(length: int) -> list[int]:
    """Lengths of packed documents: 64 to 640 tokens, repeatably."""
    generator = torch.Generator().manual_seed(0)
    found: list[int] = []
    while sum(found) < length:
        found.append(int(torch.randint(64, 641, (), generator=generator)))
    found[-1] -= sum(found) - length
    return found


def _document(length: int) -> Case:
    """Causal within packed documents."""
    lengths = _documents(length)
    which = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    q, k = _places(length)
    mask = _alone(line("n"), "document & causal")
    documents = Documents.of_lengths(lengths)
    return Case(mask, {"n": length}, lambda: (which[q] == which[k]) & (k <= q), documents)


def _prefix_document(length: int) -> Case:
    """The same after a prompt of an eighth of the tokens that all see."""
    lengths, prompt = _documents(length), length // 8
    which = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    q, k = _places(length)
    mask = _alone(line("n"), f"document & causal | prefix(length={prompt})")
    documents = Documents.of_lengths(lengths)
    return Case(
        mask,
        {"n": length},
        lambda: ((which[q] == which[k]) & (k <= q)) | (k < prompt),
        documents,
    )


def _vision_bidirectional(length: int) -> Case:
    """Text, an image of half the tokens that sees itself, text: causal otherwise."""
    text, image = length // 4, length // 2
    segments = {"before": line("a"), "image": line("m"), "after": line("b")}
    shown = {
        "before -> before": "causal",
        "image -> before": "full",
        "image -> image": "full",
        "after -> before": "full",
        "after -> image": "full",
        "after -> after": "causal",
    }
    lengths = {"a": text, "m": image, "b": length - text - image}
    q, k = _places(length)

    def seen() -> Tensor:
        within = (q >= text) & (q < text + image) & (k >= text) & (k < text + image)
        return (k <= q) | within

    return Case(_mask(segments, segments, shown), lengths, seen)


def _stream_block(length: int) -> Case:
    """Four streams of equal length; each sees itself and the first."""
    part = length // 4
    names = "abcd"
    segments: dict[str, Geometry] = {name: line(f"n{name}") for name in names}
    shown = {f"{name} -> {key}": "full" for name in names for key in {"a", name}}
    q, k = _places(length)
    return Case(
        _mask(segments, segments, shown),
        {f"n{name}": part for name in names},
        lambda: (q // part == k // part) | (k < part),
    )


def _dilated(length: int) -> Case:
    """Every fourth key within 512 on both sides; an eighth where that is less."""
    reach = min(512, length // 8)
    q, k = _places(length)
    mask = _alone(line("n"), f"dilated(step=4, reach={reach})")
    return Case(mask, {"n": length}, lambda: ((q - k).abs() <= reach) & ((q - k) % 4 == 0))


def _global_local(length: int) -> Case:
    """32 global tokens and 128 on both sides; a sixteenth where that is less."""
    reach = min(128, length // 16)
    q, k = _places(length)
    mask = _alone(line("n"), f"global(count=32) | window(before={reach}, after={reach})")
    return Case(mask, {"n": length}, lambda: (q < 32) | (k < 32) | ((q - k).abs() <= reach))


def _sides(length: int) -> tuple[int, int]:
    """Rows and columns of an image, as square as powers of two can be."""
    columns = 1 << (length.bit_length() // 2)
    return length // columns, columns


def _window2d(length: int) -> Case:
    """An image; 8 rows and columns to each side."""
    rows, columns = _sides(length)
    q, k = _places(length)

    def seen() -> Tensor:
        near = (q // columns - k // columns).abs() <= 8
        return near & ((q % columns - k % columns).abs() <= 8)

    return Case(_alone(grid("h", "w"), "window2d(radius=8)"), {"h": rows, "w": columns}, seen)


def _window3d(length: int) -> Case:
    """A video of 16 x 16 tokens a frame; 4 to each side, in frames too."""
    q, k = _places(length)

    def seen() -> Tensor:
        near = (q // 256 - k // 256).abs() <= 4
        near &= (q // 16 % 16 - k // 16 % 16).abs() <= 4
        return near & ((q % 16 - k % 16).abs() <= 4)

    return Case(_alone(volume("f", 16, 16), "window3d(radius=4)"), {"f": length // 256}, seen)


def _shifted(length: int) -> Case:
    """Swin: windows of 8 x 8, shifted by 4."""
    rows, columns = _sides(length)
    q, k = _places(length)

    def seen() -> Tensor:
        same = (q // columns + 4) // 8 == (k // columns + 4) // 8
        return same & ((q % columns + 4) // 8 == (k % columns + 4) // 8)

    mask = _alone(grid("h", "w"), "shifted_window(size=8, shift=4)")
    return Case(mask, {"h": rows, "w": columns}, seen)


def _flamingo(length: int) -> Case:
    """Text sees the image before it: each of 64 tokens, text between images 64 to 640 tokens."""
    texts = _documents(length)
    images = [64] * len(texts)
    which = [
        torch.repeat_interleave(torch.arange(len(texts)), torch.tensor(lengths))
        for lengths in (texts, images)
    ]
    mask = _mask({"text": line("n")}, {"image": line("m")}, {"text -> image": "document"})
    documents = Documents.of_lengths(texts, images)
    lengths = {"n": length, "m": sum(images)}
    return Case(mask, lengths, lambda: which[0][:, None] == which[1], documents)


def _time(length: int) -> Case:
    """Video tokens at 50 Hz see audio tokens at 100 Hz that are at most 1 s away."""
    video = line("n", Clock(Fraction(0), Fraction(20)))
    audio = line("m", Clock(Fraction(0), Fraction(10)))
    mask = _mask({"video": video}, {"audio": audio}, {"video -> audio": "within(duration=1 s)"})
    q, k = torch.arange(length)[:, None], torch.arange(2 * length)
    lengths = {"n": length, "m": 2 * length}
    return Case(mask, lengths, lambda: (20 * q - 10 * k).abs() <= 1000)


def _random_block(length: int) -> Case:
    """For each 64 queries a tenth of the blocks of 64 keys, and their own."""
    from mmspec.compiler.relations.tables import chosen_blocks

    tiles = -(-length // 64)
    count = -(-tiles // 10)
    mask = _alone(line("n"), f"random(blocks={count}, seed=0) | block(size=64)")

    def seen() -> Tensor:
        chosen = torch.eye(tiles, dtype=torch.bool)
        for row in range(tiles):
            chosen[row, list(chosen_blocks(count, 0, row, tiles))] = True
        return chosen.repeat_interleave(64, 0).repeat_interleave(64, 1)[:length, :length]

    return Case(mask, {"n": length}, seen)


MASKS: dict[str, Callable[[int], Case]] = {
    "causal": _causal,
    "window": _window,
    "document": _document,
    "prefix-document": _prefix_document,
    "vision-bidirectional": _vision_bidirectional,
    "stream-block": _stream_block,
    "dilated": _dilated,
    "global + local": _global_local,
    "2-D": _window2d,
    "3-D": _window3d,
    "shifted window": _shifted,
    "Flamingo cross": _flamingo,
    "time-distance cross": _time,
    "random block": _random_block,
}
"""By name, in the order of the table."""
