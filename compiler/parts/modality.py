"""Embeddings: raw inputs -> tokens [B, T, D], and which tokens are real."""
# pyright: reportPossiblyUnboundVariable=false

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmspec.compiler import ir
from mmspec.compiler.parts.init import STARTS
from mmspec.compiler.parts.inputs import readable
from mmspec.compiler.parts.ngrams import Ngrams
from mmspec.compiler.parts.norm import norm_layer
from mmspec.compiler.parts.path import Path
from mmspec.compiler.parts.position import Places


def valid_tokens(length_b: Tensor | None, tokens: int) -> Tensor | None:
    """Which of `tokens` lie before each sample's length: bool [B, T]; None: all of them."""
    if length_b is None:
        return None
    return torch.arange(tokens, device=length_b.device) < length_b[:, None]


def valid_whole(present_b: Tensor | None, tokens: int) -> Tensor | None:
    """All tokens of a sample that is present (1), none where it is absent (0): bool [B, T]."""
    return None if present_b is None else (present_b > 0)[:, None].expand(-1, tokens)


def with_lead(length_b: Tensor | None, lead: int) -> Tensor | None:
    """Tokens of each sample with those that lead its own, where it has any."""
    return None if length_b is None else (length_b + lead) * (length_b > 0)


def absent(batch: int, width: int, like: Tensor) -> Tensor:
    """No tokens at all: [B, 0, width]."""
    return like.new_zeros(batch, 0, width)


def samples_there(length_b: Tensor | None) -> Tensor | None:
    """Which samples are there, int64 [n]; None: that cannot be looked at, or all are."""
    if length_b is None or not readable(length_b):
        return None
    return length_b.nonzero()[:, 0]


def put_back(x_n: Tensor, there_n: Tensor, length_b: Tensor) -> Tensor:
    """What is made of the samples that are there among all of a batch; 0 of the others."""
    return x_n.new_zeros(len(length_b), *x_n.shape[1:]).index_copy(0, there_n, x_n)


def added_layer(width: int, one: ir.Added) -> nn.Module:
    """What makes a vector of a code or of numbers (inlined by the emitter)."""
    if one.codes:
        return nn.Embedding(one.codes, width)
    return nn.Linear(one.numbers, width, bias=one.biased)


def by_code(table: nn.Embedding, code_bt: Tensor | None) -> Tensor:
    """The row of each token's code, of code 0 where none are given: [B, T, D] or [D]."""
    if code_bt is None:
        return table.weight[0]
    return F.embedding(code_bt, table.weight)


def by_numbers(layer: nn.Linear, number_bti: Tensor | None) -> Tensor:
    """What a linear map makes of each token's numbers, of 0 where none are given."""
    if number_bti is None:
        number_bti = layer.weight.new_zeros(1, 1, layer.in_features)
    return F.linear(number_bti.to(layer.weight.dtype), layer.weight, layer.bias)


class Placed(nn.Module):
    """Tokens that a learned vector, or sines and cosines, tell where they stand.

    Their rows are scaled first. What else is given of them is added too, and learned tokens lead
    them; then all are normed.
    """

    width: int
    packed: bool
    fixed: bool
    rows: int
    columns: int

    def _place(self, rows: ir.Sum, max_tokens: int, width: int) -> None:
        position = rows.position
        self.added = rows.added
        for one in rows.added:
            setattr(self, one.module, added_layer(width, one))
        self.leads = rows.lead
        if rows.lead > 0:
            self.lead = nn.Parameter(torch.empty(rows.lead, width))
        self.placing = position.kind
        self.offset = position.offset
        if position.kind == "learned":
            self.position = nn.Parameter(
                torch.empty(max_tokens + rows.lead + position.offset, width)
            )
        elif position.kind == "sincos":
            self.places = Places(max_tokens, width, 0, position)
        elif position.kind == "sincos-2d":
            self.places = Places(self.rows * self.columns, width, self.columns)
        self.scale = rows.scale
        self.by_root = rows.scale == math.sqrt(width) and width > 1
        self.is_normed = rows.norm is not None
        if rows.norm is not None:
            self.norm = norm_layer(width, rows.norm)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        if STARTS and self.placing == "learned":
            nn.init.normal_(self.position, std=0.02)
        if STARTS and self.leads > 0:
            nn.init.normal_(self.lead, std=0.02)
        for one in self.added:
            if STARTS and one.codes:
                nn.init.normal_(getattr(self, one.module).weight, std=0.02)

    def _placed(
        self, x_btd: Tensor, added: Mapping[str, Tensor], places_bt: Tensor | None = None
    ) -> Tensor:
        if self.by_root:
            x_btd = math.sqrt(self.width) * x_btd
        elif self.scale != 1:
            x_btd = self.scale * x_btd
        for one in self.added:
            if one.codes:
                x_btd = x_btd + by_code(getattr(self, one.module), added.get(one.key))
            else:
                x_btd = x_btd + by_numbers(getattr(self, one.module), added.get(one.key))
        if self.placing == "sincos" and self.packed:
            x_btd = x_btd + self.places(places_bt).to(x_btd.dtype)
        elif self.placing == "sincos-2d" and not self.fixed:
            positions_t = torch.arange(x_btd.shape[1], device=x_btd.device)
            positions_t %= self.rows * self.columns
            x_btd = x_btd + self.places(positions_t).to(x_btd.dtype)
        elif self.placing in ("sincos", "sincos-2d"):
            positions_t = torch.arange(x_btd.shape[1], device=x_btd.device)
            x_btd = x_btd + self.places(positions_t).to(x_btd.dtype)
        if self.leads > 0:
            x_btd = torch.cat((self.lead.expand(x_btd.shape[0], -1, -1), x_btd), dim=1)
        if self.placing == "learned" and self.packed and self.offset > 0:
            x_btd = x_btd + self.position[self.offset :][places_bt]
        elif self.placing == "learned" and self.packed:
            x_btd = x_btd + self.position[places_bt]
        elif self.placing == "learned" and self.fixed and self.offset > 0:
            x_btd = x_btd + self.position[self.offset :]
        elif self.placing == "learned" and self.fixed:
            x_btd = x_btd + self.position
        elif self.placing == "learned" and self.offset > 0:
            x_btd = x_btd + self.position[self.offset : self.offset + x_btd.shape[1]]
        elif self.placing == "learned":
            x_btd = x_btd + self.position[: x_btd.shape[1]]
        if self.is_normed:
            x_btd = self.norm(x_btd)
        return x_btd


class TokenEmbedding(Placed):
    """Token ids [B, T] -> [B, T, {width}]."""

    def __init__(
        self,
        vocab: int,
        width: int,
        rows: ir.Sum,
        max_tokens: int,
        ngrams: ir.Ngrams | None = None,
        packed: bool = False,
        tied: bool = False,
    ) -> None:
        super().__init__()
        self.width = width
        self.packed = packed
        self.fixed = False
        self.tied = tied
        if not tied:
            self.table = nn.Embedding(vocab, width)
        self.reads_back = ngrams is not None
        if ngrams is not None:
            self.ngrams = Ngrams(width, ngrams, max_tokens)
        self._place(rows, max_tokens, width)

    def reset_parameters(self) -> None:
        if STARTS and not self.tied:
            nn.init.normal_(self.table.weight, std=0.02)
        super().reset_parameters()

    def forward(
        self, ids_bt: Tensor, table_vd: Tensor, places_bt: Tensor, added: Mapping[str, Tensor]
    ) -> Tensor:
        x_btd: Tensor = F.embedding(ids_bt, table_vd) if self.tied else self.table(ids_bt)
        if self.reads_back:
            x_btd = self.ngrams(ids_bt, x_btd)
        return self._placed(x_btd, added, places_bt)


class ImageEmbedding(Placed):
    """Pixels [B, {sizes}] -> a token for each {patch} x {patch} patch."""

    def __init__(
        self,
        sizes: tuple[int, int, int],
        grid: tuple[int, int],
        patch: int,
        width: int,
        rows: ir.Sum,
        bias: bool,
        stem: ir.Path = (),
    ) -> None:
        super().__init__()
        self.width = width
        self.side = patch
        self.rows = grid[0]
        self.columns = grid[1]
        self.has_stem = stem != ()
        if stem:
            self.stem = Path(stem)
            self.is_first = sum(step.turned for step in stem) % 2 == 0
        else:
            self.patch = nn.Linear(sizes[0] * patch**2, width, bias=bias)
        self.packed = False
        self.fixed = True
        max_tokens = self.rows * self.columns
        self._place(rows, max_tokens, width)

    def forward(
        self, pixels_bchw: Tensor, length_b: Tensor | None, added: Mapping[str, Tensor]
    ) -> Tensor:
        if not self.has_stem:
            patches = F.unfold(pixels_bchw, self.side, stride=self.side)
            x_btd: Tensor = self.patch(patches.transpose(1, 2))
        else:
            there_n = samples_there(length_b)
            if length_b is None or there_n is None:
                x_btd = self.stem(pixels_bchw, present_b=length_b)
            else:
                x_btd = put_back(self.stem(pixels_bchw[there_n]), there_n, length_b)
            x_btd = x_btd.flatten(2).mT if self.is_first else x_btd.flatten(1, 2)
        return self._placed(x_btd, added)


class VideoEmbedding(Placed):
    """Frames [B, F, {sizes}] -> a token for each {tubelet} x {patch} x {patch} patch of them.

    Frames past the length are 0.
    """

    def __init__(
        self,
        sizes: tuple[int, int, int],
        grid: tuple[int, int],
        patch: int,
        tubelet: int,
        width: int,
        rows: ir.Sum,
        max_tokens: int,
        bias: bool,
    ) -> None:
        super().__init__()
        self.width = width
        self.side = patch
        self.tubelet = tubelet
        self.rows = grid[0]
        self.columns = grid[1]
        self.packed = False
        self.fixed = False
        self.patch = nn.Linear(tubelet * sizes[0] * patch**2, width, bias=bias)
        self._place(rows, max_tokens, width)

    def forward(
        self, video_bfchw: Tensor, length_b: Tensor | None, added: Mapping[str, Tensor]
    ) -> Tensor:
        real_bf = valid_tokens(length_b, video_bfchw.shape[1])
        if real_bf is not None:
            video_bfchw = video_bfchw.masked_fill(~real_bf[:, :, None, None, None], 0.0)
        if self.tubelet > 1:
            after = -video_bfchw.shape[1] % self.tubelet
            video_bfchw = F.pad(video_bfchw, (0, 0, 0, 0, 0, 0, 0, after))
        cut = torch.unflatten(video_bfchw, 4, (self.columns, self.side))
        cut = torch.unflatten(cut, 3, (self.rows, self.side))
        cut = torch.unflatten(cut, 1, (-1, self.tubelet))
        patches = cut.permute(0, 1, 4, 6, 2, 3, 5, 7).flatten(4).flatten(1, 3)
        x_btd: Tensor = self.patch(patches)
        return self._placed(x_btd, added)


class FrameEmbedding(Placed):
    """Frames [B, F, {features}], a token every {patch}; those past the length are 0."""

    def __init__(
        self,
        features: int,
        patch: int,
        width: int,
        rows: ir.Sum,
        max_tokens: int,
        bias: bool,
        packed: bool = False,
        stem: ir.Path = (),
    ) -> None:
        super().__init__()
        self.width = width
        self.patch = patch
        self.packed = packed
        self.fixed = False
        self.has_stem = stem != ()
        if stem:
            self.stem = Path(stem)
            self.is_last = sum(step.turned for step in stem) % 2 == 0
        else:
            self.frames = nn.Linear(patch * features, width, bias=bias)
        self._place(rows, max_tokens, width)

    def forward(
        self,
        frames_bfc: Tensor,
        length_b: Tensor | None,
        places_bt: Tensor,
        added: Mapping[str, Tensor],
    ) -> Tensor:
        real_bf = valid_tokens(length_b, frames_bfc.shape[1])
        if real_bf is not None:
            frames_bfc = frames_bfc.masked_fill(~real_bf[..., None], 0.0)
        if self.patch > 1 and not self.has_stem:
            frames_bfc = F.pad(frames_bfc, (0, 0, 0, -frames_bfc.shape[1] % self.patch))
            frames_bfc = torch.unflatten(frames_bfc, 1, (-1, self.patch)).flatten(2)
        if not self.has_stem:
            x_btd: Tensor = self.frames(frames_bfc)
        elif self.is_last:
            x_btd = self.stem(frames_bfc, real_bf)
        else:
            x_btd = self.stem(frames_bfc, real_bf).mT
        return self._placed(x_btd, added, places_bt)


class TableEmbedding(Placed):
    """A row of numbers and category codes [B, columns] -> a token for each column."""

    def __init__(self, columns: tuple[int, ...], width: int, rows: ir.Sum, bias: bool) -> None:
        super().__init__()
        self.numbers = tuple(i for i, n in enumerate(columns) if n == 0)
        self.codes = tuple(i for i, n in enumerate(columns) if n > 0)
        self.offsets = tuple(sum(columns[:i]) for i, n in enumerate(columns) if n > 0)
        self.order = tuple((self.numbers + self.codes).index(i) for i in range(len(columns)))
        self.width = width
        self.mixed = self.order != tuple(range(len(columns)))
        self.wide = max(columns) > 2**24
        self.is_biased = bias
        if self.numbers:
            self.weight = nn.Parameter(torch.empty(len(self.numbers), width))
            if bias:
                self.bias = nn.Parameter(torch.empty(len(self.numbers), width))
        if self.codes:
            self.categories = nn.Embedding(sum(columns), width)
        self.packed = False
        self.fixed = True
        max_tokens = len(columns)
        self._place(rows, max_tokens, width)

    def reset_parameters(self) -> None:
        if STARTS and self.numbers:
            nn.init.normal_(self.weight)
            if self.is_biased:
                nn.init.zeros_(self.bias)
        super().reset_parameters()

    def forward(self, row_bc: Tensor, added: Mapping[str, Tensor]) -> Tensor:
        if self.numbers:
            values_bn = row_bc[:, self.numbers] if self.codes else row_bc
            if self.wide:
                values_bn = values_bn.to(self.weight.dtype)  # codes may need float64
            if self.is_biased:
                x_btd = values_bn[..., None] * self.weight + self.bias
            else:
                x_btd = values_bn[..., None] * self.weight
        if self.codes:
            codes_bn = row_bc[:, self.codes].long() if self.numbers else row_bc.long()
            if len(self.codes) > 1:
                codes_bn = codes_bn + torch.tensor(self.offsets, device=row_bc.device)
        if not self.numbers:
            x_btd = self.categories(codes_bn)
        elif self.codes:
            x_btd = torch.cat((x_btd, self.categories(codes_bn)), dim=1)
        if self.mixed:
            x_btd = x_btd[:, self.order]
        return self._placed(x_btd, added)
