"""Random valid specs over the whole language, small enough that a shrunk one can be read."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mmspec.schema.check import token_segment
from mmspec.schema.head import sources
from mmspec.schema.spec import Spec
from mmspec.schema.validate import validate
from mmspec.schema.wiring import resolve
from mmspec.text import parse
from mmspec.verify.reference.modality import longest
from mmspec.verify.reference.told import told
from mmspec.verify.strategies import blocks, heads
from mmspec.verify.strategies.masks import held, leads
from mmspec.verify.strategies.modalities import DIVISOR, kind_of, modalities
from mmspec.verify.strategies.streams import Node, stream

Body = dict[str, Any]
INITS: tuple[Body, ...] = (
    {},
    {},
    {"init": "gpt2"},
    {"init": "fan-in"},
    {"init": "normal(0.3)"},
    {"init": {"kind": "normal", "std": 0.1}},
    {"init": "truncated-normal"},
)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def load(text: str) -> Spec:
    """The validated spec of a text; raises MmspecError."""
    return validate(parse(text, "spec.yaml"))


def specs() -> SearchStrategy[str]:
    """YAML text of a valid spec."""
    return spec_dicts().map(dump)


def dump(body: Body) -> str:
    """A spec's data as YAML text."""
    return yaml.dump(body, Dumper=_DUMPER, sort_keys=False, default_flow_style=None, width=100)


@st.composite
def spec_dicts(draw: st.DrawFn) -> Body:
    """A valid spec as plain data."""
    inputs = draw(modalities())
    body, nodes = draw(_streams(inputs))
    if draw(st.booleans()):
        _tie(inputs, body)
    _fit_stems(inputs, body)
    found = draw(_heads(inputs, body, nodes))
    spec: Body = {"mmspec": 1, "name": "drawn", "modalities": inputs, "streams": body}
    spec["heads"] = found
    hidden = []
    for name in _hopeless(load(dump(spec))):
        if draw(st.sampled_from([False, False, True])):
            hidden.append(name)
        else:
            found[name] = {**draw(heads.pooled()), "from": found[name]["from"]}
    if draw(st.sampled_from([False] * 7 + [True])):
        _empty(body[draw(st.sampled_from(sorted(body)))])
    rest = draw(heads.objectives(found)) if draw(st.booleans()) else {}
    rest |= {name: rest.get(name, {}) | {"loss": "masked"} for name in hidden}
    if draw(st.sampled_from([False, False, False, True])):
        some = body[draw(st.sampled_from(sorted(body)))]
        spec["dims"] = {"d": some["width"]}
        some["width"] = "d"
    spec |= draw(st.sampled_from(INITS))
    return spec | ({"objectives": rest} if rest else {})


def _empty(stream: Body) -> None:
    """A stream of no layers, where nothing says what they are like one by one."""
    if not {"block", "variants", "repeat", "halting"} & stream.keys():
        stream["depth"] = 0
        stream.pop("attention", None)


def _hopeless(spec: Spec) -> list[str]:
    """Language models of which every row sees the token that it is trained to predict."""
    names, graph = [], resolve(spec)
    for name, head in spec.heads.items():
        segment = token_segment(spec, graph, head)
        if segment is not None:
            (stream,), most = sources(head), longest(spec.modalities[segment])
            if len(told(spec, stream, segment, most)) == most - 1 > 0:
                names.append(name)
    return names


def _modality_node(name: str, body: Body) -> Node:
    position = kind_of(body.get("position", "none"))
    rotary = frozenset({name} if position == "rotary" else ())
    front = leads(name, body)
    latents = frozenset(one.name for one in front)
    sides = (*front, held(name, body))
    return Node(name, sides, False, DIVISOR.get(position, 1), rotary, latents)


@st.composite
def _streams(draw: st.DrawFn, inputs: Body) -> tuple[dict[str, Body], dict[str, Node]]:
    """Streams of modalities, then streams of streams; every modality is read."""
    bodies: dict[str, Body] = {}
    nodes: dict[str, Node] = {}
    sources = {name: _modality_node(name, body) for name, body in inputs.items()}
    unread = set(inputs)
    for name in inputs:
        if draw(st.sampled_from([True, True, False])):
            own = draw(st.sampled_from([name, f"{name}_reader"]))
            bodies[own], nodes[own] = draw(stream(own, [sources[name]], tuple(nodes)))
            unread.discard(name)
    for joint in ("joint", "whole", "last")[: draw(st.sampled_from([0, 1, 1, 2, 3]))]:
        chosen = draw(_sources({**sources, **nodes}))
        bodies[joint], nodes[joint] = draw(stream(joint, chosen, tuple(nodes)))
        unread -= {source.name for source in chosen}
    if unread:
        rest = [sources[name] for name in sorted(unread)]
        bodies["rest"], nodes["rest"] = draw(stream("rest", rest, tuple(nodes)))
    return bodies, nodes


@st.composite
def _sources(draw: st.DrawFn, nodes: dict[str, Node]) -> list[Node]:
    """What a stream reads: up to three nodes, in any order; seldom the same tokens twice."""
    overlap = draw(st.sampled_from([False] * 7 + [True]))
    chosen: list[Node] = []
    for name in draw(st.permutations(sorted(nodes))):
        held = {segment for node in chosen for segment in node.segments}
        if overlap or not held & set(nodes[name].segments):
            chosen.append(nodes[name])
    return chosen[: draw(st.sampled_from([2, 1, 3]))]


@st.composite
def _heads(
    draw: st.DrawFn, inputs: Body, bodies: dict[str, Body], nodes: dict[str, Node]
) -> dict[str, Body]:
    """A head for every stream that nothing reads, and some more."""
    found: dict[str, Body] = {}
    read = {name for name in bodies for reader in bodies if name in _read(bodies, reader)}
    for name in bodies:
        if name in read and draw(st.sampled_from([True, True, False])):
            continue
        kind, body = draw(_head(name, inputs, bodies, nodes))
        found[f"{kind}_{name}"] = body
        _maybe_exit(draw, f"{kind}_{name}", body, bodies[name], name in read)
    plain = [name for name in bodies if "head" not in bodies[name].get("halting", {})]
    if len(plain) > 1 and draw(st.booleans()):
        found[heads.NAMES["contrastive"]] = draw(
            heads.contrastive({n: _pools(nodes[n], inputs) for n in plain})
        )
    return found


def _maybe_exit(draw: st.DrawFn, name: str, head: Body, stream: Body, read: bool) -> None:
    """Sometimes let the stream of a classifier that alone reads it have exits."""
    deep = {"halting", "repeat"} & stream.keys()
    if read or head["kind"] != "classifier" or deep or not draw(st.booleans()):
        return
    stream["halting"] = {
        "kind": "exit",
        "head": name,
        "threshold": draw(st.sampled_from([0.5, 0.3, 0.8])),
    }
    every = draw(st.integers(1, stream["depth"]))
    stream["halting"] |= {} if every == 1 else {"every": every}


def _names(bodies: dict[str, Body], reader: str) -> list[str]:
    """What a stream's `from` names."""
    source = bodies[reader]["from"]
    names: list[str] | str = source["of"] if isinstance(source, dict) else source
    return [names] if isinstance(names, str) else names


def _read(bodies: dict[str, Body], reader: str) -> set[str]:
    """Streams that a stream reads, by its `from` and by its layers."""
    block = bodies[reader].get("block", ())
    entries = [one for entry in block for one in blocks.inner(entry)]
    crossed = {entry["cross"] for entry in entries if "cross" in entry}
    return crossed | {x for x in _names(bodies, reader) if x in bodies and x != reader}


def _fit_stems(inputs: dict[str, Body], bodies: dict[str, Body]) -> None:
    """Stems end at the width of their readers; where these differ there is a patch instead."""
    for name, given in inputs.items():
        readers = [bodies[each] for each in bodies if name in _modalities(bodies, each)]
        widths = {reader.get("width") for reader in readers}
        if "stem" in given and len(widths) == 1 and None not in widths:
            given["stem"][-1] = f"linear({widths.pop()})"
        elif "stem" in given:
            del given["stem"]
            given["patch"] = 4
            given |= (
                {"size": [side - side % 4 for side in given["size"]]} if "size" in given else {}
            )


def _modalities(bodies: dict[str, Body], reader: str) -> set[str]:
    """Modalities that a stream reads itself."""
    return {name for name in _names(bodies, reader) if name not in bodies or name == reader}


def _tie(inputs: Body, bodies: dict[str, Body]) -> None:
    """Let a modality of tokens read the table of another, where both are as wide."""
    plain = [name for name, body in inputs.items() if body["kind"] == "tokens"]
    if len(plain) < 2 or any("ngrams" in inputs[name] for name in plain[:2]):
        return
    owner, name = plain[:2]
    readers = {each: [x for x in bodies if each in _modalities(bodies, x)] for each in plain[:2]}
    widths = {bodies[reader]["width"] for found in readers.values() for reader in found}
    if len(readers[owner]) == len(widths) == 1:
        inputs[name] |= {"vocab": inputs[owner]["vocab"], "tied": owner}


@st.composite
def _head(
    draw: st.DrawFn, name: str, inputs: Body, bodies: dict[str, Body], nodes: dict[str, Node]
) -> tuple[str, Body]:
    """A short name for a head of a stream, and its body."""
    segments = [s for s in nodes[name].segments if s not in nodes[name].latents]
    tokens = [s for s in segments if inputs[s]["kind"] == "tokens"]
    if tokens and draw(st.sampled_from([False, True, True])):
        tieable = {s for s in tokens if _tieable(s, name, bodies)}
        body = draw(heads.language_model(tokens, tieable))
    else:
        body = draw(heads.pooled(_pools(nodes[name], inputs)))
    return heads.NAMES[body["kind"]], {**body, "from": name}


def _pools(node: Node, inputs: Body) -> list[str]:
    """Pools that not every stream has: a lead token by its name, a token by its id."""
    leads = [segment.split(".")[1] for segment in node.segments if "." in segment]
    own = [segment for segment in node.segments if "." not in segment]
    is_marked = len(own) == 1 and inputs.get(own[0], {}).get("kind") == "tokens"
    named = [x for x in leads if leads.count(x) == 1]
    means = [f"mean({', '.join(named)})"] * bool(named)
    return named + means + ["marked(1)", "marked(0)"] * (is_marked and own[0] not in node.latents)


def _tieable(segment: str, stream: str, bodies: dict[str, Body]) -> bool:
    """Whether the segment is embedded once, in the stream's width."""
    readers = [name for name in bodies if segment in _modalities(bodies, name)]
    return len(readers) == 1 and bodies[readers[0]]["width"] == bodies[stream]["width"]
