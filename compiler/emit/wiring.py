"""The wiring of a model: Plan -> the lines of its `__init__` and `forward`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from mmspec.compiler import ir
from mmspec.compiler.emit import masks, sparse
from mmspec.compiler.emit.inputs import count, length
from mmspec.compiler.emit.requests import Requests
from mmspec.compiler.emit.resolved import masked
from mmspec.compiler.kernels import kernel_mask


@dataclass
class Lines:
    """What has been written so far: statements of `forward`, and what each value is called."""

    requests: Requests
    body: list[str] = field(default_factory=list)
    tensors: dict[str, str] = field(default_factory=dict)
    """Value name -> variable of its tokens."""
    valids: dict[str, str] = field(default_factory=dict)
    """Value name -> variable of its validity."""
    counts: dict[str, str] = field(default_factory=dict)
    """Segment name -> expression of its number of tokens."""
    asked: frozenset[str] = frozenset()
    """Modalities whose documents masks ask for."""
    documents: dict[str, str] = field(default_factory=dict)
    """Modality -> variable of the document of each of its tokens, where masks ask for it."""
    patterns: list[str] = field(default_factory=list)
    """Source of what attention that passes over tiles sees."""
    kernels: list[kernel_mask.Mask] = field(default_factory=list)
    """The same, for a GPU."""
    masks: list[str] = field(default_factory=list)
    """Source of the mask functions."""

    def write(self, *lines: str) -> None:
        """Append statements."""
        self.body.extend(lines)

    def statements(self) -> list[str]:
        """The statements, without those that only name what nobody reads."""
        body = self.body
        while True:
            words = Counter(word for line in body for word in re.findall(r"\w+", line))
            left = [line for line in body if not _idle(line, words)]
            if len(left) == len(body):
                return body
            body = left

    def gives(self, name: str) -> bool:
        """Whether a statement puts something into the dictionary of that name."""
        return any(f'{name}["' in line for line in self.body)

    def values(self, values: tuple[ir.Value, ...]) -> str:
        """A tuple display of the tokens of some values."""
        return tuple_of([self.tensors[value.name] for value in values])

    def validities(self, values: tuple[ir.Value, ...]) -> str:
        """A tuple display of the validities of some values."""
        return tuple_of([self.valids[value.name] for value in values])

    def count(self, value: ir.Value) -> str:
        """A tuple display of the tokens in each segment of a value."""
        return tuple_of([self.counts[segment.name] for segment in value.segments])


def _idle(line: str, words: Counter[str]) -> bool:
    """Whether a line names a value that appears nowhere else, and does nothing more."""
    name, found, value = line.partition(" = ")
    return bool(found) and name.isidentifier() and words[name] == 1 and "self." not in value


def tuple_of(items: list[str]) -> str:
    """A tuple display."""
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


def embed(plan: ir.Plan, node: ir.Embed, lines: Lines) -> None:
    """Embed a modality, or make no tokens where it is absent."""
    given = next(x for x in plan.inputs if x.name == node.modality)
    name, x = node.modality, f"{node.out.name}_btd"
    arguments = {node.raw.argument: name, "length_b": f'lengths.get("{name}")'}
    asked = name in lines.asked and name not in lines.documents
    lines.documents[name] = document = f"{name}_document_bt"
    arguments |= {"places_bt": f"document_places({document})", "added": "added"}
    arguments["table_vd"] = f"self.{node.weight}"
    call = lines.requests.call(node.module, arguments)
    weight = f"self.{node.weight}"
    made = [*([_documents(given)] if asked else []), f"{x} = {call}"]
    if node.raw.typed:
        made.insert(0, f'expect_type("{name}", {name}, {weight})')
    if given.optional:
        empty = f'{document} = packed(documents.get("{name}"), {x}, 0)'
        width = lines.requests.named.of("width", node.out.width, node.stream)
        lines.write(
            f"if {name} is None:",
            f"    {x} = absent(batch, {width}, {weight})",
            *([f"    {empty}"] if asked else []),
            "else:",
            *(f"    {line}" for line in made),
        )
    else:
        lines.write(*made)
    lines.tensors[node.out.name], lines.valids[node.out.name] = x, f"{node.out.name}_bt"
    tokens = f"{x}.shape[1]"
    valid = "valid_whole" if given.tokens.symbol is None else "valid_tokens"
    there, lead = length(given), node.sum.lead
    if lead and given.tokens.symbol is not None:
        there = f"with_lead({there}, {lead})"
    lines.write(f"{node.out.name}_bt = {valid}({there}, {tokens})")
    fixed = node.own.tokens.symbol is None and not given.optional
    if lead:
        tokens = f"{tokens} - {lead}"
    for segment in node.out.segments:
        most = str(segment.tokens.max)
        if lead and given.optional:
            most = f"0 if {name} is None else {most if segment.leads else count(given)}"
        elif segment.leads is None and not fixed:
            most = tokens
        lines.counts.setdefault(segment.name, most)


def _documents(given: ir.Input) -> str:
    """The statement that names the document of each token."""
    name = given.name
    return f'{name}_document_bt = packed(documents.get("{name}"), {name}, {count(given)})'


def project(node: ir.Project, lines: Lines) -> None:
    """Bring a stream to another width, or through its steps."""
    x = f"{node.out.name}_btd"
    lines.write(f"{x} = self.{node.module}({lines.tensors[node.source.name]})")
    lines.tensors[node.out.name] = x
    lines.valids[node.out.name] = lines.valids[node.source.name]


def fuse(node: ir.Fuse, lines: Lines) -> None:
    """Join several sources into one sequence."""
    x, valid = f"{node.out.name}_btd", f"{node.out.name}_bt"
    lines.tensors[node.out.name], lines.valids[node.out.name] = x, valid
    parts, valids = lines.values(node.sources), lines.validities(node.sources)
    if not node.kept:
        lines.counts |= {s.name: str(s.tokens.max) for s in node.out.segments}
        lines.valids[node.out.name] = "None"
    elif node.fusion.gives == "first":
        lines.valids[node.out.name] = lines.valids[node.kept[0].name]
    else:
        lines.write(f"{valid} = join_valid({parts}, {valids})")
    if node.module is None:
        lines.write(f"{x} = torch.cat({parts}, dim=1)")
        return
    arguments = {"parts": parts, "valids": valids, "mask": "None", **_context(node, lines)}
    arguments["x_btd"] = lines.tensors[node.sources[0].name]
    for site in node.readings():
        if isinstance(site, ir.Attention) and not site.own:
            arguments |= _cross(node, site, lines)
    call = lines.requests.call(node.module, arguments)
    given = (f'statistics["{node.stream}.{name}"]' for name in node.fusion.statistics)
    lines.write(f"{', '.join((x, *given))} = {call}")


def _context(node: ir.Fuse, lines: Lines) -> dict[str, str]:
    """The sources after the first as one sequence, and its validity."""
    if len(node.sources) == 2:
        other = node.sources[1].name
        return {"context_btd": lines.tensors[other], "context_bt": lines.valids[other]}
    xs, valids = lines.values(node.sources[1:]), lines.validities(node.sources[1:])
    return {"context_btd": f"torch.cat({xs}, dim=1)", "context_bt": f"join_valid({xs}, {valids})"}


def _cross(node: ir.Fuse, site: ir.Attention, lines: Lines) -> dict[str, str]:
    """What the attention of a fusion is told of whom it sees."""
    return _told(site, _context(node, lines)["context_bt"], lines)


def _told(site: ir.Attention, valid: str, lines: Lines) -> dict[str, str]:
    """What an attention is told: a mask, or patterns by name; valid: which keys there are."""
    counts = tuple_of([lines.counts[segment] for segment in masks.parameters(*site.sides)])
    seen = "None" if valid == "None" else f"visible_keys({valid})"
    told = {"mask": seen, "valid_bt": valid, "counts": counts}
    if sparse.patterns(site, lines.requests.backend):
        lines.patterns += sparse.definitions(site)
        lines.kernels += sparse.kernels(site)
        told |= _spans(site, lines)
    elif not masks.is_full(site) and not masks.is_causal(site):
        told["mask"] = _visible(site, valid, lines)
    return told


def _spans(site: ir.Attention, lines: Lines) -> dict[str, str]:
    """Where documents begin and end, if an attention that passes over tiles asks for them."""
    named = masks.documents(site.groups)
    if not named:
        return {"mask": "None"}
    queries, keys = (
        tuple_of([lines.documents[segment.name] for segment in side if segment.name in named])
        for side in site.sides
    )
    asked, told = f"{site.owner}_spans", f"{site.owner}_key_spans"
    lines.write(f"{asked} = document_spans({queries}, {keys})")
    if site.own:
        return {"mask": asked}
    lines.write(f"{told} = document_spans({keys}, {queries})")
    return {"mask": "None", "spans": f"({asked}, {told})"}


def _visible(site: ir.Attention, valid: str, lines: Lines) -> str:
    """What each query sees of the valid keys: a mask function for each group of heads."""
    groups, sides = site.groups, site.sides
    packed = masks.documents(groups)
    told = {segment: lines.counts[segment] for segment in masks.parameters(*sides)}
    told |= {f"{segment}_document_bt": lines.documents[segment] for segment in packed}
    told["device"] = "device"
    calls = []
    for name, whose, group in zip(sparse.names(site), sparse.words(site), groups, strict=True):
        lines.masks.append(masks.function(name, whose, group.masks, sides, packed))
        calls.append(f"{name}({', '.join(told[each] for each in masks.taken(lines.masks[-1]))})")
    if len(groups) == 1:
        if packed:
            return f"visible_by_sample({calls[0]}, {valid})"
        return f"visible({calls[0]}, {valid})"
    heads = ", ".join(str(group.heads) for group in groups)
    return f"visible_by_head(by_head(({', '.join(calls)}), ({heads})), {valid})"


def stack(plan: ir.Plan, node: ir.Stack, lines: Lines) -> None:
    """Run a stream's blocks."""
    source, valid = lines.tensors[node.source.name], lines.valids[node.source.name]
    arguments = {
        **_all_told(node, valid, lines),
        "x_btd": source,
        "positions_t": _positions(node, plan, lines),
        "routing": f"{node.stream}_routing",
    }
    if node.halting is not None and node.halting.decider is not None:
        arguments["head"] = f"self.{node.halting.decider}_head"
    routed = any(layer.routes for layer in node.feed_forwards)
    if routed:
        lines.write(f"{node.stream}_routing: list[Routing] = []")
    _run(node, lines, lines.requests.call(node.module, arguments))
    lines.valids[node.out.name] = valid
    if routed:
        _routed(node, lines)


def _all_told(node: ir.Stack, valid: str, lines: Lines) -> dict[str, str]:
    """What all attention of a stack is told; valid: which of its tokens there are."""
    sites = {site.owner: site for site in reversed(node.attentions)}
    every = {
        owner: _told(site, valid if site.read is None else lines.valids[site.read.name], lines)
        for owner, site in reversed(sites.items())
    }
    read = [every[site.owner]["mask"] for site in masked(node, lines.requests.backend)]
    none = {"mask": "None", "valid_bt": valid, "counts": lines.count(node.source)}
    first = next((every[site.owner] for site in node.attentions if site.own), none)
    contexts = [lines.tensors[value.name] for value in node.contexts]
    return {
        **first,
        "mask": read[0] if read else first["mask"],
        "masks": tuple_of(read or ["None"]),
        "context_btd": contexts[0] if contexts else "None",
        "contexts": tuple_of(contexts or ["None"]),
    }


def _run(node: ir.Stack, lines: Lines, call: str) -> None:
    """The call of a stack and what it returns besides tokens."""
    x, name, halting = f"{node.stream}_btd", node.stream, node.halting
    lines.tensors[node.out.name] = x
    if halting is None:
        lines.write(f"{x} = {call}")
        return
    places = {f'statistics["{name}.{what}"]': held for what, held in halting.statistics}
    given = [held or place for place, held in places.items()]
    lines.write(f"{', '.join((f'{name}_states' if halting.every else x, *given))} = {call}")
    lines.write(*(f"{place} = {held}" for place, held in places.items() if held))
    if halting.every:
        lines.write(f"{x} = {name}_states[-1]")
    if halting.penalty is not None:
        what, penalty, weight = halting.penalty
        lines.write(f'auxiliary["{name}.{what}"] = {_scaled(weight, penalty)}')


def _routed(node: ir.Stack, lines: Lines) -> None:
    """Statistics and auxiliary losses of a stack whose layers route."""
    name, routes = node.stream, [layer for layer in node.feed_forwards if layer.routes]
    for what, field_ in dict.fromkeys(each for layer in routes for each in layer.statistics):
        every = f"torch.stack([layer.{field_} for layer in {name}_routing])"
        lines.write(f'statistics["{name}.{what}"] = {every}')
    for what, weight in dict.fromkeys(each for layer in routes for each in layer.penalties):
        mean = f"torch.stack([layer.{what} for layer in {name}_routing]).mean()"
        lines.write(f'auxiliary["{name}.{what}"] = {_scaled(weight, mean)}')


def _scaled(weight: float, expression: str) -> str:
    return expression if weight == 1 else f"{weight!r} * {expression}"


def _positions(node: ir.Stack, plan: ir.Plan, lines: Lines) -> str:
    """Rotary positions of a stack's tokens: their index, 0 for segments without rotary.

    Where that is their index in a document, the positions are those of each sample: [B, 1, T].
    """
    if not any(site.rotary for site in node.attentions):
        return "None"
    like, runs = lines.tensors[node.source.name], []
    turned = [segment.name for segment in node.source.segments if segment.rotary]
    anew = any(name in plan.separate for name in turned)
    for segment in node.source.segments:
        if segment.rotary and segment.name in plan.separate:
            runs.append(f"document_places({lines.documents[segment.name]})")
            continue
        count = lines.counts[segment.name]
        make = (
            f"torch.arange({count}" if segment.rotary else f"torch.zeros({count}, dtype=torch.int64"
        )
        run = f"{make}, device=device)"
        runs.append(f"{run}.expand({like}.shape[0], -1)" if anew else run)
    if anew:
        joined = runs[0] if len(runs) == 1 else f"torch.cat({tuple_of(runs)}, 1)"
        return f"{joined}[:, None]"
    return runs[0] if len(runs) == 1 else f"torch.cat([{', '.join(runs)}])"


def constructor(plan: ir.Plan, requests: Requests) -> Iterator[str]:
    """Statements of `__init__`: one module a node or head."""
    for node in plan.nodes:
        if isinstance(node, ir.Project) and not node.through:
            width = requests.named.of("width", node.source.width, node.source.name)
            wanted = requests.named.of("width", node.out.width, node.stream)
            yield f"self.{node.module} = nn.Linear({width}, {wanted})"
        elif node.module is not None:
            yield f"self.{node.module} = {requests.made(node.module)}"
    for head_ in plan.heads:
        if head_.is_made:
            yield f"self.{head_.module} = {requests.made(head_.module)}"
