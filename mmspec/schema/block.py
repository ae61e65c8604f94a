"""What a layer does, in order: the entries of `block`, each a sub-layer or several in parallel.

An entry is a word (`attention`), or a mapping with exactly one of the words; `inheritance` then
gives it all that it may have of its stream, so that its fields say everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from mmspec.diagnostics import Diagnostic, shortened, suggest
from mmspec.schema.attention import FULL, Attention
from mmspec.schema.base import Fraction01, HeadCount, HeadWidth, Model, Refused
from mmspec.schema.bias import Bias
from mmspec.schema.names import Name, SublayerName
from mmspec.schema.norm import LayerNorm, NoNorm, Norm
from mmspec.schema.rotary import RotaryChoice
from mmspec.schema.routing import FeedForward, Mlp
from mmspec.schema.scale import Scale
from mmspec.schema.scores import Scores


class _Entry(Model):
    """Keys of every sub-layer, and what a reader may know of one without its word."""

    word: ClassVar[Literal["attention", "cross", "feed_forward"]]

    name: SublayerName | None = None
    """What its modules are called, by default its word."""
    scale: Scale = 1.0
    """What that which it adds is multiplied by."""
    norm: Norm = LayerNorm.model_construct()
    bias: Bias = True
    dropout: Fraction01 = 0.0


class AttentionEntry(_Entry):
    """The stream's tokens read one another."""

    word = "attention"

    attention: Attention = FULL
    heads: HeadCount = 1
    kv_heads: HeadCount = 0
    head_width: HeadWidth = 0
    scores: Scores | None = None
    rotary: RotaryChoice | None = None


def _stream_read(value: Any) -> Any:
    """One stream: of several, one of their own makes one sequence."""
    if isinstance(value, list | tuple | Mapping):
        message = "a `cross` names one stream, whose tokens are read as they leave it"
        advice = "let a stream of its own read all that, and name that stream"
        raise Refused(Diagnostic("MM330", message, help=advice))
    return value


class CrossEntry(_Entry):
    """The stream's tokens read all those that leave another stream."""

    word = "cross"

    cross: Annotated[Name, BeforeValidator(_stream_read, json_schema_input_type=Name)]
    """The other stream."""
    norm_keys: bool = False
    """Whether what leaves it is normed before it is read."""
    heads: HeadCount = 1
    kv_heads: HeadCount = 0
    head_width: HeadWidth = 0
    scores: Scores | None = None

    @model_validator(mode="before")
    @classmethod
    def _sees_all(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and "mask" in value:
            message = (
                "a `cross` sees all tokens of the stream that it reads; masks of it are to come"
            )
            advice = "leave `mask` out; a cross-attention fusion in `from` has an `attention`"
            raise Refused(Diagnostic("MM330", message, help=advice), "mask")
        return value

    @model_validator(mode="after")
    def _fits(self) -> CrossEntry:
        if self.scores is not None and self.scores.relative is not None:
            message = "tokens of two streams have no common line to be apart on"
            advice = "leave `relative` out: a `cross` takes none from its stream"
            raise Refused(Diagnostic("MM330", message, help=advice), "scores", "relative")
        if self.norm_keys and isinstance(self.norm, NoNorm):
            message = "`norm: none` says nothing of a norm of keys"
            advice = "leave `norm_keys` out, or choose a norm"
            raise Refused(Diagnostic("MM330", message, help=advice), "norm_keys")
        return self


class FeedForwardEntry(_Entry):
    """Each token by itself."""

    word = "feed_forward"

    feed_forward: FeedForward = Mlp.model_construct()


class ParallelEntry(Model):
    """Sub-layers that read the same tokens; the sum of what they give is added to these."""

    word: ClassVar[str] = "parallel"

    parallel: tuple[Single, ...] = Field(min_length=2)
    """The sub-layers."""
    norm: Literal["shared"] | None = None
    """`shared`: one norm for all of them."""
    name: SublayerName | None = None
    """What their modules are called, by default their words."""


KINDS: Final[dict[str, type[Model]]] = {
    kind.word: kind for kind in (AttentionEntry, CrossEntry, FeedForwardEntry, ParallelEntry)
}
"""Every entry by its word."""

WORDS: Final = tuple(KINDS)
TAGS: Final = tuple(f"[{word}]" for word in WORDS)
"""What places of errors have beside the keys of a spec."""
OF_ENTRIES: Final = ("name", "scale", "cross", "norm_keys")
"""Keys that stand in an entry alone."""
OWN: Final = {
    word: tuple(key for key in kind.model_fields if key not in OF_ENTRIES)
    for word, kind in KINDS.items()
    if kind is not ParallelEntry
}
"""Of each sub-layer the keys that it takes from its stream."""


def _reader(words: tuple[str, ...], where: str) -> BeforeValidator:
    """What refuses that which has none of the words, or several."""

    def read(value: Any) -> Any:
        if isinstance(value, Model):
            return value
        if isinstance(value, str):
            near = suggest(value, list(words))
            advice = f"did you mean `{near}`?" if near else f"one of: {', '.join(words)}"
            message = f"`{shortened(value)}` is none of the sub-layers {where}"
            if value in words:
                message, advice = f"`{value}` alone does not say what", f"write {{{value}: ...}}"
            raise Refused(Diagnostic("MM329", message, help=advice))
        if not isinstance(value, Mapping):
            message = f"an entry {where} is a word, or a mapping with one"
            raise Refused(Diagnostic("MM329", message, help=f"one of: {', '.join(words)}"))
        found = [word for word in words if word in value]
        if len(found) == 1:
            return value
        if found:
            message = f"an entry {where} is one sub-layer, and this names {' and '.join(found)}"
            advice = "write an entry for each, one after the other"
            raise Refused(Diagnostic("MM329", message, help=advice))
        meant = ((key, suggest(str(key), list(words))) for key in value)
        key, near = next((pair for pair in meant if pair[1]), ("", None))
        message = f"an entry {where} says which sub-layer it is"
        advice = f"did you mean `{near}`?" if near else f"add one of: {', '.join(words)}"
        keys = (key,) if near else ()
        raise Refused(Diagnostic("MM329", message, help=advice), *keys, text=key or None)

    return BeforeValidator(read)


def _tag(value: Any) -> str:
    if isinstance(value, One | ParallelEntry):
        return f"[{value.word}]"
    return next(f"[{word}]" for word in WORDS if word in value)


One = AttentionEntry | CrossEntry | FeedForwardEntry
Single = Annotated[
    Annotated[
        Annotated[AttentionEntry, Tag("[attention]")]
        | Annotated[CrossEntry, Tag("[cross]")]
        | Annotated[FeedForwardEntry, Tag("[feed_forward]")],
        Discriminator(_tag),
    ],
    _reader(tuple(OWN), "in parallel"),
]
Entry = Annotated[
    Annotated[
        Annotated[AttentionEntry, Tag("[attention]")]
        | Annotated[CrossEntry, Tag("[cross]")]
        | Annotated[FeedForwardEntry, Tag("[feed_forward]")]
        | Annotated[ParallelEntry, Tag("[parallel]")],
        Discriminator(_tag),
    ],
    _reader(WORDS, "of `block`"),
]


def _entries(value: Any) -> Any:
    """A number is what others call `block`, a word alone is a list of one."""
    if isinstance(value, tuple | list) and value:
        return value
    message = "`block` is a list of what a layer does, in order"
    advice = "write `block: [attention, feed_forward]`, or leave it out"
    raise Refused(Diagnostic("MM329", message, help=advice))


Block = Annotated[tuple[Entry, ...], BeforeValidator(_entries)]


def walked(
    block: tuple[One | ParallelEntry, ...],
) -> Iterator[tuple[str, Any, tuple[str | int, ...], ParallelEntry | None]]:
    """The name of each entry, the entry, the keys at which it stands, and what it stands in."""
    counts: dict[str, int] = {}

    def named(entry: One | ParallelEntry) -> str:
        if entry.name is not None:
            return entry.name
        counts[entry.word] = count = counts.get(entry.word, 0) + 1
        return entry.word if count == 1 else f"{entry.word}_{count}"

    for place, entry in enumerate(block):
        name = named(entry)
        yield name, entry, ("block", place), None
        if isinstance(entry, ParallelEntry):
            for inner, one in enumerate(entry.parallel):
                yield named(one), one, ("block", place, "parallel", inner), entry
