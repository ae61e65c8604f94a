"""The masks that attention is measured on, in the language of the specs: a length -> a mask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import torch
from torch import Tensor

from mmspec.compiler.relations.loops.token_tables import Documents, chosen_blocks
from mmspec.compiler.relations.meaning.geometry import Clock, Geometry, grid, line, volume
from mmspec.compiler.relations.meaning.sequence import SequenceMask, Side
from mmspec.expressions.mask import parse, parse_pair

_ROWS = 1024
"""Queries whose keys are counted together."""


@dataclass(frozen=True)
class Case:
    """A mask at one length, and by its words who sees whom.

    sees: (q, k, *tables) -> bool, for places of any shape, as FlexAttention asks it.
    """

    mask: SequenceMask
    lengths: dict[str, int]
    sees: Callable[..., Tensor]
    made: Callable[[], tuple[Tensor, ...]] = tuple
    documents: Documents | None = None
    causal: bool = False
    """Whether SDPA has a way of its own for it."""
    device: str = "cpu"

    @property
    def values(self) -> tuple[int, ...]:
        """The lengths as a pattern takes them."""
        return tuple(self.lengths[name] for name in self.mask.parameters)

    @property
    def tokens(self) -> tuple[int, int]:
        """Queries and keys."""
        sides = self.mask.queries, self.mask.keys
        queries, keys = (sum(self.lengths[str(x.count)] for x in side) for side in sides)
        return queries, keys

    @cached_property
    def tables(self) -> tuple[Tensor, ...]:
        """What its words look up, on its device."""
        return tuple(table.to(self.device) for table in self.made())

    def on(self, device: str) -> Case:
        """The same, its tables there."""
        return replace(self, device=device)

    def rows(self, q: Tensor) -> Tensor:
        """What some queries see: bool [q, k]."""
        k = torch.arange(self.tokens[1], device=q.device)
        return self.sees(q[:, None], k, *self.tables).expand(len(q), len(k))

    @cached_property
    def seen_qk(self) -> Tensor:
        """Every pair, made once: for lengths that allow it."""
        parts = torch.arange(self.tokens[0], device=self.device).split(_ROWS)
        return torch.cat([self.rows(part) for part in parts])

    @cached_property
    def density(self) -> float:
        """Of visible pairs; where rows are more than 1024, of one in each of so many parts."""
        queries, keys = self.tokens
        q = sampled(queries, _ROWS)
        parts = q.to(self.device).split(64)
        seen = sum(int(self.rows(part).sum()) for part in parts)
        return seen / (len(q) * keys)


def sampled(queries: int, most: int) -> Tensor:
    """All queries; where those are more, a random one in each of so many equal parts."""
    if queries <= most:
        return torch.arange(queries)
    at = torch.rand(most, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return ((torch.arange(most) + at) * (queries / most)).long().clamp(max=queries - 1)


def _side(name: str, geometry: Geometry) -> Side:
    return Side(name, geometry, f"n_{name}")


def _mask(
    queries: dict[str, Geometry], keys: dict[str, Geometry], shown: dict[str, str]
) -> SequenceMask:
    """Of segments by name, and pairs as a spec writes them."""
    sides = [tuple(_side(*item) for item in segments.items()) for segments in (queries, keys)]
    return SequenceMask(
        sides[0], sides[1], tuple((*parse_pair(p), parse(text)) for p, text in shown.items())
    )


def _alone(geometry: Geometry, text: str) -> SequenceMask:
    return _mask({"x": geometry}, {"x": geometry}, {"x -> x": text})


def _causal(length: int) -> Case:
    mask = _alone(line("n_x"), "causal")
    return Case(mask, {"n_x": length}, lambda q, k: k <= q, causal=True)


def _window(length: int) -> Case:
    """Causal, 512 keys; a quarter of the sequence where that is less."""
    keys = min(512, length // 4)
    mask = _alone(line("n_x"), f"window(before={keys - 1})")
    return Case(mask, {"n_x": length}, lambda q, k: (k <= q) & (q - k < keys))


def _documents(length: int) -> list[int]:
    """Lengths of packed documents: 64 to 640 tokens, repeatably."""
    generator = torch.Generator().manual_seed(0)
    found: list[int] = []
    while sum(found) < length:
        found.append(int(torch.randint(64, 641, (), generator=generator)))
    found[-1] -= sum(found) - length
    return found


def _which(lengths: list[int]) -> Tensor:
    """The document of each token."""
    return torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))


def _document(length: int) -> Case:
    """Causal within packed documents."""
    lengths = _documents(length)
    mask = _alone(line("n_x"), "document & causal")
    return Case(
        mask,
        {"n_x": length},
        lambda q, k, which: (which[q] == which[k]) & (k <= q),
        lambda: (_which(lengths),),
        Documents.of_lengths(lengths),
    )


def _prefix_document(length: int) -> Case:
    """The same after a prompt of an eighth of the tokens that all see."""
    lengths, prompt = _documents(length), length // 8
    mask = _alone(line("n_x"), f"document & causal | prefix(length={prompt})")
    return Case(
        mask,
        {"n_x": length},
        lambda q, k, which: ((which[q] == which[k]) & (k <= q)) | (k < prompt),
        lambda: (_which(lengths),),
        Documents.of_lengths(lengths),
    )


def _vision_bidirectional(length: int) -> Case:
    """Text, an image of half the tokens that sees itself, text: causal otherwise."""
    text, image = length // 4, length // 2
    segments = {"before": line("n_before"), "image": line("n_image"), "after": line("n_after")}
    shown = {
        "before -> before": "causal",
        "image -> before": "full",
        "image -> image": "full",
        "after -> before": "full",
        "after -> image": "full",
        "after -> after": "causal",
    }
    lengths = {"n_before": text, "n_image": image, "n_after": length - text - image}

    def sees(q: Tensor, k: Tensor) -> Tensor:
        within = (q >= text) & (q < text + image) & (k >= text) & (k < text + image)
        return (k <= q) | within

    return Case(_mask(segments, segments, shown), lengths, sees)


def _stream_block(length: int) -> Case:
    """Four streams of equal length; each sees itself and the first."""
    part = length // 4
    segments: dict[str, Geometry] = {name: line(f"n_{name}") for name in "abcd"}
    shown = {f"{name} -> {key}": "full" for name in "abcd" for key in {"a", name}}
    return Case(
        _mask(segments, segments, shown),
        {f"n_{name}": part for name in "abcd"},
        lambda q, k: (q // part == k // part) | (k < part),
    )


def _dilated(length: int) -> Case:
    """Every fourth key within 512 on both sides; an eighth where that is less."""
    reach = min(512, length // 8)
    mask = _alone(line("n_x"), f"dilated(step=4, reach={reach})")
    return Case(mask, {"n_x": length}, lambda q, k: ((q - k).abs() <= reach) & ((q - k) % 4 == 0))


def _global_local(length: int) -> Case:
    """32 global tokens and 128 on both sides; a sixteenth where that is less."""
    reach = min(128, length // 16)
    mask = _alone(line("n_x"), f"global(count=32) | window(before={reach}, after={reach})")
    return Case(mask, {"n_x": length}, lambda q, k: (q < 32) | (k < 32) | ((q - k).abs() <= reach))


def _columns(length: int) -> int:
    """Of an image, as square as powers of two can be."""
    return 1 << (length.bit_length() // 2)


def _near(q: Tensor, k: Tensor, columns: int) -> Tensor:
    """Whether two tokens of an image are at most 8 rows and columns apart."""
    rows = (q // columns - k // columns).abs() <= 8
    return rows & ((q % columns - k % columns).abs() <= 8)


def _window2d(length: int) -> Case:
    """An image; 8 rows and columns to each side."""
    columns = _columns(length)
    mask = _alone(grid("h_x", columns), "window2d(radius=8)")
    return Case(mask, {"n_x": length}, lambda q, k: _near(q, k, columns))


def _window3d(length: int) -> Case:
    """A video of 16 x 16 tokens a frame; 4 to each side, in frames too."""

    def sees(q: Tensor, k: Tensor) -> Tensor:
        near = (q // 256 - k // 256).abs() <= 4
        near = near & ((q // 16 % 16 - k // 16 % 16).abs() <= 4)
        return near & ((q % 16 - k % 16).abs() <= 4)

    return Case(_alone(volume("f_x", 16, 16), "window3d(radius=4)"), {"n_x": length}, sees)


def _shifted(length: int) -> Case:
    """Swin: windows of 8 x 8, shifted by 4."""
    columns = _columns(length)

    def sees(q: Tensor, k: Tensor) -> Tensor:
        same = (q // columns + 4) // 8 == (k // columns + 4) // 8
        return same & ((q % columns + 4) // 8 == (k % columns + 4) // 8)

    mask = _alone(grid("h_x", columns), "shifted_window(size=8, shift=4)")
    return Case(mask, {"n_x": length}, sees)


def _flamingo(length: int) -> Case:
    """Text sees the image before it: each of 64 tokens, text between images 64 to 640 tokens."""
    texts = _documents(length)
    images = [64] * len(texts)
    return Case(
        _mask({"text": line("n_text")}, {"image": line("n_image")}, {"text -> image": "document"}),
        {"n_text": length, "n_image": sum(images)},
        lambda q, k, text, image: text[q] == image[k],
        lambda: (_which(texts), _which(images)),
        Documents.of_lengths(texts, images),
    )


def _time(length: int) -> Case:
    """Video tokens at 50 Hz see audio tokens at 100 Hz that are at most 1 s away."""
    video = line("n_video", Clock(Fraction(0), Fraction(20)))
    audio = line("n_audio", Clock(Fraction(0), Fraction(10)))
    return Case(
        _mask({"video": video}, {"audio": audio}, {"video -> audio": "within(duration=1 s)"}),
        {"n_video": length, "n_audio": 2 * length},
        lambda q, k: (20 * q - 10 * k).abs() <= 1000,
    )


def _random_block(length: int) -> Case:
    """For each 64 queries a tenth of the blocks of 64 keys, at most 64, and their own."""
    tiles = -(-length // 64)
    count = min(-(-tiles // 10), 64)

    def chosen() -> tuple[Tensor, ...]:
        found = torch.eye(tiles, dtype=torch.bool)
        for row in range(tiles):
            found[row, list(chosen_blocks(count, 0, row, tiles))] = True
        return (found,)

    return Case(
        _alone(line("n_x"), f"random(blocks={count}, seed=0) | block(size=64)"),
        {"n_x": length},
        lambda q, k, chosen: chosen[q // 64, k // 64],
        chosen,
    )


def _multimodal(length: int) -> Case:
    """An image of half the tokens (8 rows and columns), audio (128 to each side), causal text.

    Text sees the whole image, and the audio at most 1.28 s away: both have a token each 10 ms.
    """
    image, audio = length // 2, length // 4
    columns, clock = _columns(image), Clock(Fraction(0), Fraction(10))
    segments: dict[str, Geometry] = {
        "image": grid("h_image", columns),
        "audio": line("n_audio", clock),
        "text": line("n_text", clock),
    }
    shown = {
        "image -> image": "window2d(radius=8)",
        "audio -> audio": "window(before=128, after=128)",
        "text -> text": "causal",
        "text -> image": "full",
        "text -> audio": "within(duration=1280 ms)",
    }
    lengths = {"n_image": image, "n_audio": audio, "n_text": length - image - audio}
    text = image + audio

    def sees(q: Tensor, k: Tensor) -> Tensor:
        of_image = (q < image) & (k < image) & _near(q, k, columns)
        heard = (q >= image) & (k >= image) & (k < text)
        near = torch.where(q < text, (q - k).abs(), (q - k - audio).abs()) <= 128
        of_text = (q >= text) & ((k < image) | ((k >= text) & (k <= q)))
        return of_image | (heard & near) | of_text

    return Case(_mask(segments, segments, shown), lengths, sees)


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
    "multimodal": _multimodal,
}
"""By name, in the order of the table: fourteen, and one that has several of them."""
