"""Streams: sub-layers in layers, variants of layers in a stack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

from mmspec.compiler.ir.attention import Attention
from mmspec.compiler.ir.halting import Halting
from mmspec.compiler.ir.norm import Norm
from mmspec.compiler.ir.path import Path
from mmspec.compiler.ir.reading import Pool
from mmspec.compiler.ir.rotary import Rotary
from mmspec.compiler.ir.routing import FeedForward
from mmspec.compiler.ir.scores import Common
from mmspec.compiler.ir.tokens import Value
from mmspec.diagnostics import Span


@dataclass(frozen=True, slots=True)
class LayerScale:
    """A learned factor of each feature, all of them `start` at first."""

    start: float


@dataclass(frozen=True, slots=True)
class Gate:
    """The tanh of a learned number, which is 0 at first."""


Weighing = LayerScale | Gate
"""What the result of a sub-layer is multiplied by, where that is learned."""

Mixer = Attention | FeedForward
"""What a sub-layer computes."""


@dataclass(frozen=True, slots=True)
class Project:
    """Linear with bias between widths, or the steps of a path."""

    module: str
    out: Value
    source: Value
    stream: str
    span: Span | None
    through: Path = ()


@dataclass(frozen=True, slots=True)
class Sublayer:
    """post(x + scale * after(mixer(before(x)))), where None is no norm.

    Dropout is of what is added. Of several in parallel, all read the x of the first, and the sum of
    what they give is added. place: which of the masks of the stack it reads; None: the one that
    there is (see emit).
    """

    name: str
    """Its attribute in a block."""
    mixer: Mixer
    before: Norm | None
    """`<name>_norm` in a block, as `post` is, which stands where this does not."""
    after: Norm | None
    """`<name>_norm_after`."""
    post: Norm | None
    dropout: float
    place: int | None = None
    turn: int | None = None
    """By which of the angles of the stack it turns; None: by the only ones, if any."""
    context: int | None = None
    """Which of the contexts of the stack it reads; None: the one that there is, if any."""
    scale: float = 1.0
    weighed: Weighing | None = None
    """What it is multiplied by instead, `<name>_scale`, where that is learned."""
    joins: bool = False
    """Whether it reads what the one before it reads, and adds to what that one gives."""
    awaits: bool = False
    """Whether the next one joins it."""
    shared: str = ""
    """Whose norm `before` is that it reads with others, of which the first has it; "": its own."""

    @property
    def takes(self) -> bool:
        """Whether what it reads is what the one before it reads, normed already."""
        return self.joins and bool(self.shared)

    @property
    def reads(self) -> bool:
        """Whether its keys are another stream's tokens."""
        return isinstance(self.mixer, Attention) and self.mixer.key_width > 0

    @property
    def speaks(self) -> bool:
        """Whether it has a bias to add where there is nothing to read."""
        after = self.after is not None and self.after.biased
        return isinstance(self.mixer, Attention) and self.reads and (self.mixer.bias or after)

    @property
    def norm_name(self) -> str:
        """What `first` is called in a block."""
        return f"{self.shared or self.name}_norm"

    @property
    def first(self) -> Norm | None:
        """The norm that is called `<name>_norm`."""
        return self.before or self.post

    @property
    def norms(self) -> tuple[Norm, ...]:
        """Its norms, in the order in which they are applied; a shared one is the first's."""
        before = None if self.takes else self.before
        return tuple(norm for norm in (before, self.after, self.post) if norm is not None)


@dataclass(frozen=True, slots=True)
class Block:
    """One layer of width `width`: its sub-layers, in order.

    `variant` is what the spec calls layers of this kind; "" where all are alike.
    """

    width: int
    sublayers: tuple[Sublayer, ...]
    variant: str = field(default="", repr=False)

    @property
    def words(self) -> str:
        """What it does, in words."""
        names = [one.name.replace("_", "-") for one in self.sublayers]
        signs = [" beside " if one.joins else ", then " for one in self.sublayers[1:]]
        found = "".join(map(str.__add__, ["", *signs], names)).capitalize()
        first = self.sublayers[0]
        if len({self._ways(one) for one in self.sublayers}) > 1:
            return f"{found}: each adds to its input"
        if first.post:
            return f"{found}: each is added to its input, and the sum is normed"
        reads = "reads its input" + (" normed" if first.before else "")
        scaled = f"times {first.scale:g} " if first.scale != 1 else ""
        scaled = "scaled and " if first.weighed is not None else scaled
        normed = "normed and " if first.after else ""
        return f"{found}: each {reads}, and is {normed}{scaled}added to it"

    @staticmethod
    def _ways(one: Sublayer) -> tuple[bool | float, ...]:
        """Where a sub-layer is normed, and by what it is multiplied."""
        norms = one.before is not None, one.after is not None, one.post is not None
        return *norms, one.scale, one.weighed is not None

    @property
    def readings(self) -> tuple[tuple[Attention, ...], ...]:
        """Its sites of attention, in order; those that read the same tokens are together."""
        found: list[list[Attention]] = []
        for one in self.sublayers:
            if not one.joins:
                found.append([])
            found[-1] += [one.mixer] if isinstance(one.mixer, Attention) else []
        return tuple(tuple(sites) for sites in found if sites)

    @property
    def attentions(self) -> tuple[Attention, ...]:
        """Its sites of attention, in order."""
        mixers = (one.mixer for one in self.sublayers)
        return tuple(mixer for mixer in mixers if isinstance(mixer, Attention))

    @property
    def rotary(self) -> Rotary | None:
        """How its sites turn queries and keys; None: none does."""
        return next((site.rotary for site in self.attentions if site.rotary is not None), None)

    @property
    def feed_forwards(self) -> tuple[FeedForward, ...]:
        """What else its sub-layers compute, in order."""
        mixers = (one.mixer for one in self.sublayers)
        return tuple(mixer for mixer in mixers if not isinstance(mixer, Attention))


def _runs(order: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Neighbours that are the same, and how many."""
    return tuple((number, len(list(alike))) for number, alike in groupby(order))


@dataclass(frozen=True, slots=True)
class Stack:
    """A stream's layers, final norm and halting.

    `order` names the variants of so many layers, one after the other, again and again until there
    are `depth`. All of them are applied `repeat` times, with the same weights. Of no layers there
    are no variants.
    """

    module: str
    out: Value
    source: Value
    variants: tuple[Block, ...]
    order: tuple[int, ...]
    depth: int
    repeat: int
    final_norm: Norm | None
    halting: Halting | None
    stream: str
    span: Span | None
    common: Common | None = None
    """Relative scores that all of its layers have in common."""
    scored: tuple[int, ...] = ()
    """To which of its masks `common` is added; empty: to the one that there is (see emit)."""

    @property
    def passed(self) -> int:
        """How many layers a token passes, where no halting decides."""
        return self.depth * self.repeat

    @property
    def pieces(self) -> tuple[tuple[tuple[tuple[int, int], ...], int], ...]:
        """Its layers as they are said: runs (variant, count) in a row, and how often these."""
        whole, rest = divmod(self.depth, max(len(self.order), 1))
        ends = ((_runs(self.order[:rest]), 1),) if rest else ()
        return ((_runs(self.order), whole), *ends)

    @property
    def attentions(self) -> tuple[Attention, ...]:
        """The sites of attention of each variant, in order."""
        return tuple(site for block in self.variants for site in block.attentions)

    @property
    def attending(self) -> tuple[Sublayer, ...]:
        """The sub-layers of each variant in which its tokens read one another, in order."""
        every = (one for block in self.variants for one in block.sublayers)
        return tuple(one for one in every if isinstance(one.mixer, Attention) and one.mixer.own)

    @property
    def crossing(self) -> tuple[Sublayer, ...]:
        """Those in which they read another stream's, in order."""
        return tuple(one for block in self.variants for one in block.sublayers if one.reads)

    @property
    def attends_once(self) -> bool:
        """Whether in every layer its tokens read one another once."""
        return all(sum(site.own for site in block.attentions) == 1 for block in self.variants)

    @property
    def rotaries(self) -> tuple[Rotary, ...]:
        """By what angles its sites turn queries and keys, each once."""
        turning = (site.rotary for site in self.attentions)
        return tuple(dict.fromkeys(each.angles for each in turning if each is not None))

    @property
    def feed_forwards(self) -> tuple[FeedForward, ...]:
        """What else the sub-layers of each variant compute, in order."""
        return tuple(layer for block in self.variants for layer in block.feed_forwards)

    @property
    def sources(self) -> tuple[Value, ...]:
        """All that it reads: what it starts from, then what its layers read of other streams."""
        return (self.source, *self.contexts)

    @property
    def contexts(self) -> tuple[Value, ...]:
        """What leaves other streams and is read by its layers, each once."""
        return tuple(dict.fromkeys(site.read for site in self.attentions if site.read is not None))

    def runs(self) -> Iterator[tuple[Block, int]]:
        """Each variant, and how many layers are of it."""
        every = [self.order[place % len(self.order)] for place in range(self.depth)]
        for number, block in enumerate(self.variants):
            yield block, every.count(number)

    def layers(self, first: int, count: int) -> Iterator[Block]:
        """So many layers from one on (from 0); after the last comes the first again."""
        for place in range(first, first + count):
            yield self.variants[self.order[place % self.depth % len(self.order)]]

    def decision(self) -> Pool | None:
        """What is read where it is decided whether a sample goes on; None: nothing is."""
        if self.halting is None or len(self.halting.passes(self.depth)) == 1:
            return None
        names = {"stream": self.stream, "head": self.halting.decider, "key": "{key}"}
        return Pool(self.halting.decides.format(**names), (self.out,))

    def passes(self) -> Iterator[tuple[int, int]]:
        """The layers as (first, count) between which `decision` is read."""
        first = 0
        for count in self.halting.passes(self.depth) if self.halting else (self.passed,):
            yield first, count
            first += count
