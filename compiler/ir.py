"""The Plan: what a spec lowers to, and all that costs, flow and emitters read.

    plan       = Plan(name, about, inputs*, nodes*, heads*, spans)
    input      = Input(name, kind, shape, length, optional)
    node       = Embed(value, modality, ...) | Project(value, source) | Fuse(value, kind, sources*)
               | Stack(value, source, blocks, block, halting)
    value      = Value(name, segments*, width)              -- tokens [B, sum of lengths, width]
    segment    = Segment(name, tokens, geometry, modality, rotary)
    block      = Block(attention, feed_forward, norm, dropout)
    attention  = Attention(groups, heads, kv_heads, head_width, rotary, bias)
    groups     = Group(heads, masks)*                       -- heads that share masks, in order
    masks      = (query, key, mask)*                        -- a pair not listed sees nothing
    feed_forward = Mlp | Glu | Experts | ByModality
    halting    = Ponder | Exit | None
    head       = Head(name, kind, sources*, ...)

Sizes are ints; a length is `Tokens(symbol, max)` (a symbol: tokens of that modality, at most max)
or `Tokens(None, n)` (always n); symbols of a geometry count what its axes say. Node order is
execution order. Every node carries its span.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mmspec.compiler.relations.meaning.geometry import Geometry
from mmspec.diagnostics import Span
from mmspec.expressions.mask import Mask, patterns

Pairs = tuple[tuple[str, str, Mask], ...]
"""(query segment, key segment, mask)"""


@dataclass(frozen=True, slots=True)
class Tokens:
    """A number of tokens: `symbol` at run time, at most `max`; symbol None: exactly `max`."""

    symbol: str | None
    max: int


@dataclass(frozen=True, slots=True)
class Input:
    """A model input; shape holds ints and "B", "T" (tokens), "F" (frames); `longest`: of T or F."""

    name: str
    kind: str
    shape: tuple[int | str, ...]
    longest: int | None
    dtype: str
    tokens: Tokens
    patch: int
    """Frames (or tokens) of a step."""
    area: int
    """Tokens of a step: the patches of a frame of a video, else 1."""
    optional: bool
    span: Span | None

    def count(self, raw: int) -> int:
        """Tokens of a sample whose length in frames or tokens is `raw`."""
        return -(-raw // self.patch) * self.area


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of tokens in a value; modality None: latents. Optional: may hold no token at all."""

    name: str
    tokens: Tokens
    geometry: Geometry
    modality: str | None
    rotary: bool
    optional: bool


@dataclass(frozen=True, slots=True)
class Value:
    """Tokens [B, sum of segments, width] with their validity."""

    name: str
    segments: tuple[Segment, ...]
    width: int


@dataclass(frozen=True, slots=True)
class Embed:
    """Raw modality -> tokens. `module` is its attribute in the emitted model."""

    module: str
    out: Value
    modality: str
    kind: str
    position: str
    features: int
    """vocab (tokens), channels (image, video), features (audio, series), columns (table)."""
    patch: int
    tubelet: int
    grid: tuple[int, int] | None
    columns: tuple[int, ...]
    """table: 0 for a number column, the number of categories otherwise."""
    stream: str
    span: Span | None


@dataclass(frozen=True, slots=True)
class Project:
    """Linear with bias between widths."""

    module: str
    out: Value
    source: Value
    stream: str
    span: Span | None


@dataclass(frozen=True, slots=True)
class Norm:
    """kind `layer` (with bias or not) or `rms`; placement `pre` or `post`."""

    kind: str
    eps: float
    placement: str
    bias: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Heads that stand together and share masks."""

    heads: int
    masks: Pairs


@dataclass(frozen=True, slots=True)
class Attention:
    """Self-attention; the groups' heads are all of `heads`, in order."""

    groups: tuple[Group, ...]
    heads: int
    kv_heads: int
    head_width: int
    rotary: bool
    bias: bool

    @property
    def packed(self) -> bool:
        """Whether a mask asks for the documents of tokens."""
        masks = (mask for group in self.groups for *_, mask in group.masks)
        return any(pattern.name == "document" for mask in masks for pattern in patterns(mask))


@dataclass(frozen=True, slots=True)
class Mlp:
    """down(act(up x))."""

    width: int
    activation: str
    bias: bool


@dataclass(frozen=True, slots=True)
class Glu:
    """down(act(gate x) * up x)."""

    width: int
    activation: str
    bias: bool


@dataclass(frozen=True, slots=True)
class Experts:
    """Token-choice experts; balance is the auxiliary coefficient."""

    width: int
    activation: str
    experts: int
    choose: int
    renormalise: bool
    balance: float


@dataclass(frozen=True, slots=True)
class ByModality:
    """One mlp for each segment of the stream."""

    width: int
    activation: str
    bias: bool
    segments: tuple[str, ...]


FeedForward = Mlp | Glu | Experts | ByModality


@dataclass(frozen=True, slots=True)
class Block:
    """One transformer block of width `width`."""

    width: int
    attention: Attention
    feed_forward: FeedForward
    norm: Norm
    dropout: float


@dataclass(frozen=True, slots=True)
class Ponder:
    """Up to `at_most` applications of the stack; see docs/language.md."""

    at_most: int
    prior: float
    weight: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Exit:
    """Exits after the blocks in `after` (1-based, the last block included) by `head`."""

    head: str
    threshold: float
    after: tuple[int, ...]


Halting = Ponder | Exit


@dataclass(frozen=True, slots=True)
class Fuse:
    """Sources (already of the output's width) -> one value."""

    module: str | None
    """None for concat, which has no parameters."""
    out: Value
    kind: str
    sources: tuple[Value, ...]
    heads: int
    queries: int
    groups: tuple[Group, ...]
    """cross-attention only: first source's segments -> the others'."""
    blocks: tuple[Block, ...]
    """transformer only."""
    stream: str
    span: Span | None


@dataclass(frozen=True, slots=True)
class Stack:
    """A stream's blocks (all alike: `block` x `depth`), final norm and halting."""

    module: str
    out: Value
    source: Value
    block: Block
    depth: int
    final_norm: bool
    halting: Halting | None
    stream: str
    span: Span | None


Node = Embed | Project | Fuse | Stack


@dataclass(frozen=True, slots=True)
class Head:
    """kind: classifier, regressor, language-model or contrastive.

    size: classes, outputs, vocab or width.
    """

    name: str
    module: str
    kind: str
    sources: tuple[Value, ...]
    size: int
    pool: str
    segment: str | None
    tied: str | None
    """Module of the tied token embedding."""
    temperature: float
    loss: str
    weight: float
    smoothing: float
    span: Span | None
    told: str = ""
    """language-model: tokens k, each p of its document, that the row before them sees: no loss."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole model, in execution order."""

    name: str
    class_name: str
    about: str
    inputs: tuple[Input, ...]
    nodes: tuple[Node, ...]
    heads: tuple[Head, ...]
    separate: tuple[str, ...] = ()
    """Modalities whose documents never meet: positions begin anew in each, losses stop."""
    source: str = field(default="", compare=False)

    def stacks(self) -> tuple[Stack, ...]:
        """The streams' stacks, in execution order."""
        return tuple(node for node in self.nodes if isinstance(node, Stack))
