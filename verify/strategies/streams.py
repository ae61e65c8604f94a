"""Streams, as plain data: their own sizes, blocks, fusion and mask, given what they may read."""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mmspec.schema.bias import Biases
from mmspec.schema.fusion import KINDS
from mmspec.schema.halting import KINDS as HALTINGS
from mmspec.schema.norm import KINDS as NORMS
from mmspec.verify.strategies import blocks, masks, routing, scores, variants

WIDTHS = (3, 5, 7)


@dataclass(frozen=True, slots=True)
class Node:
    """A modality or stream that others may read, with what it holds.

    `divisor`: what the width of its reader is a multiple of; `rotary`: the segments that need an
    even head width; `latents`: the segments that are no modality's tokens.
    """

    name: str
    held: masks.Sides
    is_stream: bool = False
    divisor: int = 1
    rotary: frozenset[str] = frozenset()
    latents: frozenset[str] = frozenset()

    @property
    def segments(self) -> tuple[str, ...]:
        """Names of its segments."""
        return tuple(held.name for held in self.held)


def fits(fusion: str, sources: list[Node]) -> bool:
    """Whether a fusion may hold these sources: each segment once."""
    kind = KINDS[fusion]
    if kind.keeps == "none":
        return len(sources) >= kind.fewest()
    parts = (sources[:1], sources[1:]) if kind.keeps == "first" else (sources,)
    names = ([name for source in part for name in source.segments] for part in parts)
    return len(sources) >= kind.fewest() and all(map(_once, names))


def _once(names: list[str]) -> bool:
    return len(set(names)) == len(names)


@st.composite
def stream(
    draw: st.DrawFn, name: str, sources: list[Node], others: tuple[str, ...] = ()
) -> tuple[dict[str, Any], Node]:
    """A stream over these sources, in this order, and the node that it is to others.

    others: the streams that its layers may read.
    """
    kinds = [*KINDS] if len(sources) > 1 else ["concat"] * 5 + ["attention"]
    fusion = draw(st.sampled_from([kind for kind in kinds if fits(kind, sources)]))
    sizes = draw(_sizes(lcm(*(source.divisor for source in sources)), _rotary(sources)))
    held = tuple(one for source in sources for one in source.held)
    keeps, own = KINDS[fusion].keeps, {}
    if "pool" in KINDS[fusion].model_fields and draw(st.booleans()):
        keeps, own = "first", {"pool": "others"}
    if keeps == "none":
        held = (masks.Held(name, f"latents of {name}"),)
    elif keeps == "first":
        held = sources[0].held
    segments = frozenset(one.name for one in held)
    read = draw(_source(fusion, sources, sizes))
    body: dict[str, Any] = {"from": read | own if own else read, **sizes}
    mostly = any(one.unit == "tokens" for one in held)
    if draw(st.sampled_from([True, False, mostly, mostly])):
        heads = sizes["heads"], sizes.get("kv_heads", sizes["heads"])
        body["attention"] = draw(masks.attention(held, held, *heads))
    if draw(st.sampled_from([False, False, False, True])):
        body["scores"] = draw(scores.scores([one.name for one in held]))
    body |= draw(_blocks(sizes["width"]))
    if draw(st.sampled_from([False, False, False, True])):
        body |= draw(variants.varied(body, held, bool(_rotary(sources))))
    if draw(st.sampled_from([False, False, False, True])):
        body["block"] = draw(blocks.block(body, held, others))
    if any("." in one.name for one in held):
        body = _unsplit(body)
    if keeps == "none":
        return body, Node(name, held, True, latents=segments)
    rotary = _rotary(sources) & segments
    if rotary and draw(st.sampled_from([False, False, True])):
        body["rotary"] = draw(_turning(sizes.get("head_width", sizes["width"] // sizes["heads"])))
    latents = frozenset[str]().union(*(source.latents for source in sources))
    return body, Node(name, held, True, rotary=rotary, latents=latents)


def _unsplit(value: Any) -> Any:
    """A body without weights by modality, which tokens that lead one do not have."""
    if isinstance(value, dict):
        return {key: _unsplit(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_unsplit(item) for item in value]
    return "mlp" if value == "by-modality" else value


def _rotary(sources: list[Node]) -> frozenset[str]:
    return frozenset[str]().union(*(source.rotary for source in sources))


@st.composite
def _sizes(draw: st.DrawFn, divisor: int, rotary: frozenset[str]) -> dict[str, Any]:
    """Depth, width, heads and what goes with them."""
    heads = draw(st.sampled_from([1, 2, 3, 4]))
    depth = draw(st.integers(1, 3))
    prime = draw(st.sampled_from(WIDTHS))
    shared = draw(st.sampled_from([k for k in (heads, 1, 2) if heads % k == 0]))
    sizes: dict[str, Any] = {"depth": depth, "heads": heads}
    if draw(st.booleans()):
        sizes["head_width"] = draw(st.sampled_from([2, 6] if rotary else [2, 3, 1, 5]))
        sizes["width"] = prime * divisor
    else:
        sizes["width"] = prime * lcm(divisor, heads * (2 if rotary else 1))
    if shared != heads:
        sizes["kv_heads"] = shared
    return sizes


@st.composite
def _turning(draw: st.DrawFn, head_width: int) -> Any:
    """How tokens with rotary positions are turned, if at all."""
    body: dict[str, Any] = {}
    some = [n for n in (2, 4, 6) if n < head_width]
    if draw(st.booleans()) and some:
        width: int = draw(st.sampled_from(some))
        body["partial"] = width / head_width
    if draw(st.booleans()):
        body["base"] = draw(st.sampled_from([100, 500000.0, 7.5]))
    if draw(st.booleans()):
        body["interleaved"] = draw(st.booleans())
    if draw(st.booleans()):
        llama3 = {"kind": "llama3", "factor": 4, "length": 30, "low": 0.5, "high": 3}
        body["scaling"] = draw(st.sampled_from(["linear(3)", "llama3(8, 20)", llama3]))
    return draw(st.sampled_from([body, body, body, "none"]))


_PATHS: tuple[list[str], ...] = ([], ["norm"], ["linear(7)", "gelu"], ["linear(5)", "silu"])
"""Steps of a source, before the map to the width that is read."""


@st.composite
def _source(draw: st.DrawFn, fusion: str, sources: list[Node], sizes: dict[str, Any]) -> Any:
    """What a stream's `from` says."""
    names = [source.name for source in sources]
    streams = [source.name for source in sources if source.is_stream]
    through = {}
    if streams and draw(st.sampled_from([False, False, False, True])):
        through[draw(st.sampled_from(streams))] = [
            *draw(st.sampled_from(_PATHS)),
            f"linear({sizes['width']})",
            *draw(st.sampled_from([[], ["norm(0.1)"], ["tanh"]])),
        ]
    if fusion == "concat" and not through and draw(st.sampled_from([True, True, False])):
        return names if len(names) > 1 or draw(st.booleans()) else names[0]
    body: dict[str, Any] = {"fusion": fusion, "of": names}
    body |= {"through": through} if through else {}
    keys = KINDS[fusion].model_fields
    if "rank" in keys:
        body["rank"] = draw(st.integers(1, 4))
    if "heads" not in keys:
        return body
    width, heads = sizes["width"], sizes["heads"]
    allowed = [n for n in (heads, 1, 2, 3) if width % n == 0]
    chosen = draw(st.sampled_from(allowed))
    if chosen != heads or draw(st.booleans()):
        body["heads"] = chosen
    if "queries" in keys:
        body["queries"] = draw(st.integers(1, 5))
    if "depth" in keys and draw(st.booleans()):
        body["depth"] = 2
    if "attention" in keys and draw(st.booleans()):
        context = tuple(one for source in sources[1:] for one in source.held)
        body["attention"] = draw(masks.attention(sources[0].held, context, chosen, chosen))
    return body


@st.composite
def _blocks(draw: st.DrawFn, width: int) -> dict[str, Any]:
    """Feed-forward, norm, bias and halting; each is often left at its default."""
    body: dict[str, Any] = {}
    if draw(st.booleans()):
        body["feed_forward"] = draw(routing.feed_forward())
    if draw(st.booleans()):
        body["norm"] = draw(_norm(width))
    if draw(st.sampled_from([False, False, False, True])):
        body["final_norm"] = draw(_final_norm(body.get("norm"), width))
    if draw(st.sampled_from([False, False, True])):
        body["bias"] = draw(_bias())
    if draw(st.sampled_from([False, False, False, True])):
        body["halting"] = draw(_halting())
    return body


@st.composite
def _norm(draw: st.DrawFn, width: int) -> Any:
    kind = draw(st.sampled_from([*NORMS, *NORMS, "none"]))
    if kind == "none":
        return kind
    groups = 0
    if "groups" in NORMS[kind].model_fields:
        groups = draw(
            st.sampled_from([n for n in (1, 2, 3, 4, 5) if width % n == 0 and width // n > 2])
        )
    if draw(st.booleans()):
        return f"{kind}({groups})" if groups else draw(st.sampled_from([kind, f"{kind}(eps=1e-3)"]))
    body: dict[str, Any] = {
        "kind": kind,
        "eps": draw(st.sampled_from([1e-5, 1e-3, 0.1])),
        "placement": draw(st.sampled_from(["pre", "post", "sandwich", "branch"])),
    }
    body |= {"offset": 1} if draw(st.sampled_from([False, False, True])) else {}
    return body | ({"groups": groups} if groups else {})


@st.composite
def _final_norm(draw: st.DrawFn, norm: Any, width: int) -> Any:
    """Whether there is one, or which; what the stream's norm says goes on holding."""
    if norm == "none":
        return draw(st.sampled_from([False, "rms", {"kind": "layer", "eps": 1e-2}]))
    return draw(st.sampled_from([True, False, {"eps": 1e-2}, {"kind": "rms", "offset": 1}]))


_ROLES: Final = [name for name in Biases.model_fields if name != "linear"]


@st.composite
def _bias(draw: st.DrawFn) -> Any:
    """None at all, none but of norms, or some roles otherwise than the rest."""
    if draw(st.booleans()):
        return draw(st.sampled_from([False, True, {"linear": False}]))
    some = draw(st.lists(st.sampled_from(_ROLES), min_size=1, max_size=3, unique=True))
    body = {role: draw(st.booleans()) for role in some}
    return {"linear": False, **body} if draw(st.booleans()) else body


_NUMBERS: Final[dict[str, SearchStrategy[Any]]] = {
    "at_most": st.integers(1, 4),
    "prior": st.sampled_from([0.3, 0.5, 0.9]),
    "weight": st.sampled_from([0.5, 0.0]),
    "threshold": st.sampled_from([0.6, 0.3, 0.97]),
}
"""What keys of a halting are given."""


@st.composite
def _halting(draw: st.DrawFn) -> dict[str, Any]:
    """Any that needs no head."""
    kind = draw(st.sampled_from([name for name, kind in HALTINGS.items() if not kind.has_head()]))
    keys = HALTINGS[kind].model_fields
    body: dict[str, Any] = {"kind": kind}
    for key, numbers in _NUMBERS.items():
        if key in keys and (keys[key].is_required() or draw(st.booleans())):
            body[key] = draw(numbers)
    return body
