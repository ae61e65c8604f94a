"""Modality: how one sample's input becomes its tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from mmspec.schema import modality as kinds
from mmspec.schema.bias import of_rows
from mmspec.schema.columns import Categories
from mmspec.schema.position import Learned, Sincos
from mmspec.schema.spec import Spec
from mmspec.schema.wiring import Segment
from mmspec.verify.reference import ngrams, path
from mmspec.verify.reference.arithmetic import Shapes, Weights, linear, linear_shapes
from mmspec.verify.reference.norm import normalise
from mmspec.verify.reference.norm import shapes as norm_shapes
from mmspec.verify.reference.places import Layout


def step(modality: kinds.Modality) -> tuple[int, int]:
    """The raw length that makes one step of tokens, and how many they are.

    Image and table are a single step, of raw length 1.
    """
    if isinstance(modality, kinds.Tokens):
        return 1, 1
    if isinstance(modality, kinds.Frames):
        return modality.step, 1
    if isinstance(modality, kinds.Table):
        return 1, len(modality.columns)
    patches = math.prod(modality.grid)
    return (modality.tubelet if isinstance(modality, kinds.Video) else 1), patches


def token_count(modality: kinds.Modality, length: int) -> int:
    """Tokens of a sample of that raw length (image and table: 1 present, 0 absent)."""
    raw, tokens = step(modality)
    return math.ceil(length / raw) * tokens


def max_tokens(modality: kinds.Modality) -> int:
    """Tokens of the longest sample."""
    return token_count(modality, longest(modality))


def longest(modality: kinds.Modality) -> int:
    """The raw length of the longest sample."""
    return modality.length.max if isinstance(modality, kinds.Varying) else 1


def segment_count(spec: Spec, segment: Segment, raw: Mapping[str, int]) -> int:
    """Tokens of a segment in a sample; raw: lengths by modality, the longest where not named."""
    if segment.modality is not None:
        modality = spec.modalities[segment.modality]
        return token_count(modality, raw.get(segment.modality, longest(modality)))
    assert segment.count is not None, segment
    return segment.count if segment.leads is None or raw.get(segment.leads, 1) else 0


def layout(modality: kinds.Modality) -> Layout:
    """How the tokens of a modality stand."""
    most = max_tokens(modality)
    if isinstance(modality, kinds.Image):
        return Layout(most, tuple(zip(("row", "column"), modality.grid, strict=True)))
    if isinstance(modality, kinds.Video):
        rows, columns = modality.grid
        grid = (("frame", most // (rows * columns)), ("row", rows), ("column", columns))
        return Layout(most, grid, modality.tubelet / modality.rate)
    if isinstance(modality, kinds.Frames):
        return Layout(most, period=modality.step / modality.rate)
    return Layout(most)


def made_of(modality: kinds.Modality, length: int) -> Tensor:
    """Of whose raw values each token of a sample is made: bool [n, n]."""
    tokens = token_count(modality, length)
    own = torch.eye(tokens, dtype=torch.bool)
    if isinstance(modality, kinds.Tokens) and modality.ngrams is not None:
        back = max(tokens if modality.ngrams.words else 0, *modality.ngrams.sizes)
        return torch.ones_like(own).tril().triu(1 - back)
    if isinstance(modality, kinds.Image) and modality.stem is not None and length:
        return path.made_of(modality.stem, modality.size, modality.side, modality.grid)
    if isinstance(modality, kinds.Frames) and modality.stem is not None and length:
        return path.made_of_frames(modality.stem, length, modality.step)
    return own


def embed(
    modality: kinds.Modality,
    w: Weights,
    values: Tensor,
    length: int,
    told: tuple[Sequence[int], Mapping[str, Tensor]],
    table: Tensor | None = None,
) -> Tensor:
    """Tokens [n, D] of one sample, behind those that lead them.

    values: its values without the batch axis; length: its raw length.

    told: the positions of its tokens, and what else is given of each by name. table: the rows of
    another modality, which it reads instead of its own.
    """
    places, added = told
    if isinstance(modality, kinds.Tokens):
        x = (w["table.weight"] if table is None else table)[values[:length]]
        if modality.ngrams is not None:
            x = ngrams.told(modality.ngrams, w.at("ngrams"), x, values[:length].tolist())
    elif isinstance(modality, kinds.Image):
        x = _image(modality, w, values)
    elif isinstance(modality, kinds.Video):
        x = _video(modality, w, values[:length])
    elif isinstance(modality, kinds.Frames):
        x = _frames(modality, w, values[:length])
    else:
        x = _table(modality, w, values)
    x = modality.scale * x
    for name in modality.add:
        x = x + _added(modality, w, name, added.get(name), x.shape[0])
    lead = sum(modality.lead.values())
    if isinstance(modality.position, Learned):
        x = torch.cat([w["lead"], x]) if lead else x
        offset = modality.position.offset
        rows = [*range(lead), *(lead + t for t in places)]
        x = x + w["position"][[offset + row for row in rows]]
    else:
        x = x + _position(modality, places, x.shape[1])
        x = torch.cat([w["lead"], x]) if lead else x
    return normalise(x, w.at("norm").unnoted(), modality.norm, of_rows(modality.bias, "norm"))


def _image(image: kinds.Image, w: Weights, pixels: Tensor) -> Tensor:
    if image.stem is not None:
        biases = (of_rows(image.bias, role) for role in ("patch", "norm"))
        grid = pixels.to(torch.float64).movedim(0, -1)
        return path.run(image.stem, w.at("stem"), grid, *biases).flatten(0, 1)
    p = image.side
    patches = [
        pixels[:, row : row + p, column : column + p].reshape(-1).to(torch.float64)
        for row in range(0, image.size[0], p)
        for column in range(0, image.size[1], p)
    ]
    return torch.stack(
        [linear(patch, w.at("patch"), of_rows(image.bias, "patch")) for patch in patches]
    )


def _video(video: kinds.Video, w: Weights, values: Tensor) -> Tensor:
    p, tokens = video.patch, []
    for start in range(0, values.shape[0], video.tubelet):
        frames = [frame.to(torch.float64) for frame in values[start : start + video.tubelet]]
        frames += [torch.zeros_like(frames[0])] * (video.tubelet - len(frames))
        tokens += [
            torch.cat([x[:, row : row + p, column : column + p].reshape(-1) for x in frames])
            for row in range(0, video.size[0], p)
            for column in range(0, video.size[1], p)
        ]
    return torch.stack(
        [linear(token, w.at("patch"), of_rows(video.bias, "patch")) for token in tokens]
    )


def _frames(frames: kinds.Frames, w: Weights, values: Tensor) -> Tensor:
    if frames.stem is not None:
        biases = (of_rows(frames.bias, role) for role in ("patch", "norm"))
        return path.run(frames.stem, w.at("stem"), values.to(torch.float64), *biases)
    tokens = []
    for start in range(0, values.shape[0], frames.patch):
        token = torch.zeros(frames.patch, frames.features, dtype=torch.float64)
        found = values[start : start + frames.patch].to(torch.float64)
        token = torch.cat([found, token[found.shape[0] :]])
        tokens.append(linear(token.reshape(-1), w.at("frames"), of_rows(frames.bias, "patch")))
    return torch.stack(tokens)


def _table(table: kinds.Table, w: Weights, row: Tensor) -> Tensor:
    tokens, numbers, offset = [], 0, 0
    for value, column in zip(row.to(torch.float64), table.columns.values(), strict=True):
        if isinstance(column, Categories):
            tokens.append(w["categories.weight"][offset + int(value)])
            offset += column.categories
        else:
            biased = of_rows(table.bias, "patch")
            added = w["bias"][numbers] if biased else 0.0
            tokens.append(value * w["weight"][numbers] + added)
            numbers += 1
    return torch.stack(tokens)


def _added(
    modality: kinds.Modality, w: Weights, name: str, given: Tensor | None, count: int
) -> Tensor:
    """What is added to each token for what else is given of it: [count, D]; not given, it is 0."""
    kind, own = modality.add[name], w.at(f"added_{name}")
    if isinstance(kind, Categories):
        codes = [0] * count if given is None else given[:count].tolist()
        return own["weight"][codes]
    numbers = torch.zeros(count, kind.numbers, dtype=torch.float64)
    if given is not None:
        numbers = given[:count].to(torch.float64)
    return linear(numbers, own, of_rows(modality.bias, "patch"))


def _position(modality: kinds.Modality, places: Sequence[int], width: int) -> Tensor:
    """What no weight adds to tokens at these positions: [n, D]."""
    position = modality.position
    if isinstance(position, Sincos):
        return torch.stack([waves(t, width, position) for t in places])  # pyright: ignore[reportArgumentType]
    if position.kind == "sincos-2d":
        assert isinstance(modality, kinds.Image | kinds.Video)
        rows, columns = modality.grid
        half = width // 2
        at = [divmod(t % (rows * columns), columns) for t in places]
        return torch.stack([torch.cat([sincos(r, half), sincos(c, half)]) for r, c in at])
    return torch.zeros(len(places), width, dtype=torch.float64)


@lru_cache(maxsize=4096)
def waves(t: int, width: int, position: Sincos) -> Tensor:
    """What a place adds [D], by the formula of docs/language.md."""
    half = width // 2
    steps = half - 1 if position.endpoint else half
    angles = [(t + position.offset) / 10000 ** (i / steps) for i in range(half)]
    sines, cosines = [math.sin(a) for a in angles], [math.cos(a) for a in angles]
    if not position.interleaved:
        return torch.tensor(sines + cosines, dtype=torch.float64)
    sides = [x for pair in zip(sines, cosines, strict=True) for x in pair]
    return torch.tensor(sides, dtype=torch.float64)


@lru_cache(maxsize=4096)
def sincos(t: int, width: int) -> Tensor:
    """Row t of the sinusoids [D]: sine in even columns, cosine in odd ones."""
    row = torch.zeros(width, dtype=torch.float64)
    for i in range(width // 2):
        angle = torch.tensor(t / 10000 ** (2 * i / width), dtype=torch.float64)
        row[2 * i], row[2 * i + 1] = torch.sin(angle), torch.cos(angle)
    return row


def shapes(modality: kinds.Modality, width: int) -> Shapes:
    """Names and shapes of the embedding's weights."""
    found: Shapes = {}
    bias = of_rows(modality.bias, "patch")
    if isinstance(modality, kinds.Tokens):
        if modality.tied is None:
            found["table.weight"] = (modality.vocab, width)
        if modality.ngrams is not None:
            inner = ngrams.shapes(modality.ngrams, width)
            found |= {f"ngrams.{name}": shape for name, shape in inner.items()}
    elif isinstance(modality, kinds.Image | kinds.Frames) and modality.stem is not None:
        normed = of_rows(modality.bias, "norm")
        if isinstance(modality, kinds.Frames):
            inner = path.shapes(modality.stem, modality.features, bias, normed, axes=1)
        else:
            inner = path.shapes(modality.stem, modality.channels, bias, normed)
        found |= {f"stem.{name}": shape for name, shape in inner.items()}
    elif isinstance(modality, kinds.Image | kinds.Video):
        deep = modality.tubelet if isinstance(modality, kinds.Video) else 1
        pixels = deep * modality.channels * modality.side**2
        found |= linear_shapes("patch", pixels, width, bias)
    elif isinstance(modality, kinds.Frames):
        found |= linear_shapes("frames", modality.patch * modality.features, width, bias)
    else:
        columns = modality.columns.values()
        codes = [c.categories for c in columns if isinstance(c, Categories)]
        numbers = len(modality.columns) - len(codes)
        found |= {"weight": (numbers, width)} if numbers else {}
        found |= {"bias": (numbers, width)} if numbers and bias else {}
        found |= {"categories.weight": (sum(codes), width)} if codes else {}
    for name, one in modality.add.items():
        if isinstance(one, Categories):
            found[f"added_{name}.weight"] = (one.categories, width)
        else:
            found |= linear_shapes(f"added_{name}", one.numbers, width, bias)
    if isinstance(modality.position, Learned):
        rows = sum(modality.lead.values()) + max_tokens(modality)
        found["position"] = (rows + modality.position.offset, width)
    if modality.lead:
        found["lead"] = (sum(modality.lead.values()), width)
    return found | norm_shapes("norm", width, modality.norm, of_rows(modality.bias, "norm"))
