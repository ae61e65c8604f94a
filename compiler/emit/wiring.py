"""The wiring of a model: Plan -> the lines of its `__init__` and `forward`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from mmspec.compiler import ir
from mmspec.compiler.emit import kernel_mask, masks, sparse
from mmspec.compiler.emit.requests import Requests


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
    embedded: dict[str, str] = field(default_factory=dict)
    """Modality -> variable of its tokens as they were embedded first."""
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

    def values(self, values: tuple[ir.Value, ...]) -> str:
        """A tuple display of the tokens of some values."""
        return _tuple([self.tensors[value.name] for value in values])

    def validities(self, values: tuple[ir.Value, ...]) -> str:
        """A tuple display of the validities of some values."""
        return _tuple([self.valids[value.name] for value in values])

    def count(self, value: ir.Value) -> str:
        """A tuple display of the tokens in each segment of a value."""
        return _tuple([self.counts[segment.name] for segment in value.segments])


def _idle(line: str, words: Counter[str]) -> bool:
    """Whether a line names a value that appears nowhere else, and does nothing more."""
    name, found, value = line.partition(" = ")
    return bool(found) and name.isidentifier() and words[name] == 1 and "self." not in value


def _tuple(items: list[str]) -> str:
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


def embed(plan: ir.Plan, node: ir.Embed, lines: Lines) -> None:
    """Embed a modality, or make no tokens where it is absent."""
    given = next(x for x in plan.inputs if x.name == node.modality)
    name, x = node.modality, f"{node.out.name}_btd"
    arguments = {"ids_bt": name, "pixels_bchw": name, "frames_bfc": name, "row_bc": name}
    arguments["video_bfchw"] = name
    arguments["length_b"] = f'lengths.get("{name}")'
    call = lines.requests.call(node.module, arguments)
    expected = _expected(given)
    if given.optional:
        like = f"self.{node.module}.{lines.requests.weight(node)}"
        lines.write(
            f"if {name} is None:",
            f"    {x} = absent(batch, {node.out.width}, {like})",
            "else:",
            f"    {expected}",
            f"    {x} = {call}",
        )
    else:
        lines.write(expected, f"{x} = {call}")
    lines.tensors[node.out.name], lines.valids[node.out.name] = x, f"{node.out.name}_bt"
    lines.embedded.setdefault(name, x)
    length = f'lengths.get("{name}")'
    tokens = f"{x}.shape[1]"
    if node.kind in ("image", "table"):
        value = f"valid_whole({length}, {tokens})"
    elif node.kind == "video":
        sizes = f"{given.patch}, {given.area}"
        value = f"valid_tokens(tubelets({length}, {sizes}), {tokens})"
    elif node.patch > 1:
        value = f"valid_tokens(patches({length}, {node.patch}), {tokens})"
    else:
        value = f"valid_tokens({length}, {tokens})"
    lines.write(f"{node.out.name}_bt = {value}")
    fixed = node.out.segments[0].tokens.symbol is None and not given.optional
    lines.counts.setdefault(name, str(node.out.segments[0].tokens.max) if fixed else tokens)


def _expected(given: ir.Input) -> str:
    """The statement that checks the shape of an input."""
    sizes = ", ".join(str(size) if isinstance(size, int) else "None" for size in given.shape)
    longest = "" if given.longest is None else f", {given.longest}"
    return f'expect("{given.name}", {given.name}, ({sizes}){longest})'


def project(node: ir.Project, lines: Lines) -> None:
    """Bring a stream to another width."""
    x = f"{node.out.name}_btd"
    lines.write(f"{x} = self.{node.module}({lines.tensors[node.source.name]})")
    lines.tensors[node.out.name] = x
    lines.valids[node.out.name] = lines.valids[node.source.name]


def fuse(node: ir.Fuse, lines: Lines) -> None:
    """Join several sources into one sequence."""
    x, valid = f"{node.out.name}_btd", f"{node.out.name}_bt"
    lines.tensors[node.out.name], lines.valids[node.out.name] = x, valid
    parts, valids = lines.values(node.sources), lines.validities(node.sources)
    if node.kind == "attention":
        lines.counts[node.stream] = str(node.queries)
        lines.write(f"{valid} = None")
    elif node.kind == "cross-attention":
        lines.valids[node.out.name] = lines.valids[node.sources[0].name]
    else:
        lines.write(f"{valid} = join_valid({parts}, {valids})")
    if node.module is None:
        lines.write(f"{x} = torch.cat({parts}, dim=1)")
        return
    arguments = {"parts": parts, "valids": valids, "mask": "None"}
    if node.kind == "cross-attention":
        arguments |= _cross(node, lines)
    call = lines.requests.call(node.module, arguments)
    if node.kind == "gated":
        lines.write(f'{x}, statistics["{node.stream}.gates"] = {call}')
    else:
        lines.write(f"{x} = {call}")


def _cross(node: ir.Fuse, lines: Lines) -> dict[str, str]:
    """What the attention of a fusion is told of whom it sees."""
    others = node.sources[1:]
    valid = lines.valids[others[0].name]
    if len(others) > 1:
        valid = f"join_valid({lines.values(others)}, {lines.validities(others)})"
    return _told(sparse.of_fusion(node), (valid, lines.tensors[node.sources[0].name]), lines)


def _told(site: sparse.Site, names: tuple[str, str], lines: Lines) -> dict[str, str]:
    """What an attention is told: a mask, or patterns by name; names: validity, a tensor."""
    counts = _tuple([lines.counts[segment] for segment in masks.parameters(*site.sides)])
    told = {"mask": f"visible_keys({names[0]})", "valid_bt": names[0], "counts": counts}
    if site.patterns(lines.requests.backend):
        lines.patterns += sparse.definitions(site)
        lines.kernels += kernel_mask.of_site(site)
        told |= _spans(site, lines)
    elif not masks.is_full(site.groups, *site.sides) and not masks.is_causal(
        site.groups, *site.sides
    ):
        told["mask"] = _visible(site, names, lines)
    return told


def _spans(site: sparse.Site, lines: Lines) -> dict[str, str]:
    """Where documents begin and end, if an attention that passes over tiles asks for them."""
    named = masks.documents(site.groups)
    if not named:
        return {"mask": "None"}
    queries, keys = (
        _tuple([_document(segment.name, lines) for segment in side if segment.name in named])
        for side in site.sides
    )
    asked, told = f"{site.owner}_spans", f"{site.owner}_key_spans"
    lines.write(f"{asked} = document_spans({queries}, {keys})")
    if site.queries == site.keys:
        return {"mask": asked}
    lines.write(f"{told} = document_spans({keys}, {queries})")
    return {"mask": "None", "spans": f"({asked}, {told})"}


def _visible(site: sparse.Site, names: tuple[str, str], lines: Lines) -> str:
    """What each query sees: a mask function for each group of heads; names: validity, a tensor."""
    valid, like = names
    groups, sides = site.groups, site.sides
    lengths = [lines.counts[segment] for segment in masks.parameters(*sides)]
    packed = masks.documents(groups)
    lengths += [_document(segment, lines) for segment in packed]
    calls = []
    for name, whose, group in zip(site.names(), site.words(), groups, strict=True):
        lines.masks.append(masks.function(name, whose, group.masks, sides, packed))
        calls.append(f"{name}({', '.join(lengths)}, {like}.device)")
    if len(groups) == 1:
        if packed:
            return f"visible_by_sample({calls[0]}, {valid})"
        return f"visible({calls[0]}, {valid})"
    heads = ", ".join(str(group.heads) for group in groups)
    return f"visible_by_head(by_head(({', '.join(calls)}), ({heads})), {valid})"


def _document(segment: str, lines: Lines) -> str:
    """The variable of the document that each token of a segment belongs to, written once."""
    name = f"{segment}_document_bt"
    line = f'{name} = packed("{segment}", documents.get("{segment}"), {lines.embedded[segment]})'
    if line not in lines.body:
        lines.write(line)
    return name


def stack(plan: ir.Plan, node: ir.Stack, lines: Lines) -> None:
    """Run a stream's blocks."""
    source, valid = lines.tensors[node.source.name], lines.valids[node.source.name]
    arguments = {
        **_told(sparse.of_stack(node), (valid, source), lines),
        "x_btd": source,
        "positions_t": _positions(node, lines, source),
        "routing": f"{node.stream}_routing",
    }
    if isinstance(node.halting, ir.Exit):
        arguments["head"] = f"self.{node.halting.head}_head"
    routed = isinstance(node.block.feed_forward, ir.Experts)
    if routed:
        lines.write(f"{node.stream}_routing: list[Routing] = []")
    _run(node, lines, lines.requests.call(node.module, arguments))
    lines.valids[node.out.name] = valid
    if routed:
        _routed(node, lines)


def _run(node: ir.Stack, lines: Lines, call: str) -> None:
    """The call of a stack and what it returns besides tokens."""
    x, name = f"{node.stream}_btd", node.stream
    lines.tensors[node.out.name] = x
    if isinstance(node.halting, ir.Ponder):
        lines.write(
            f"{x}, halting_bn, steps_b = {call}",
            f'statistics["{name}.halting"] = halting_bn',
            f'statistics["{name}.steps"] = steps_b',
        )
        if node.halting.weight:
            penalty = f"ponder_penalty(halting_bn, {node.halting.prior!r})"
            lines.write(f'auxiliary["{name}.ponder"] = {_scaled(node.halting.weight, penalty)}')
    elif isinstance(node.halting, ir.Exit):
        lines.write(f'{name}_states, statistics["{name}.depth"] = {call}')
        lines.write(f"{x} = {name}_states[-1]")
    else:
        lines.write(f"{x} = {call}")


def _routed(node: ir.Stack, lines: Lines) -> None:
    """Statistics and balance loss of a stack with experts."""
    layer, name = node.block.feed_forward, node.stream
    assert isinstance(layer, ir.Experts)
    loads = f"torch.stack([layer.load_e for layer in {name}_routing])"
    lines.write(f'statistics["{name}.load"] = {loads}')
    if layer.balance:
        balance = f"torch.stack([layer.balance for layer in {name}_routing]).mean()"
        lines.write(f'auxiliary["{name}.balance"] = {_scaled(layer.balance, balance)}')


def _scaled(weight: float, expression: str) -> str:
    return expression if weight == 1 else f"{weight!r} * {expression}"


def _positions(node: ir.Stack, lines: Lines, like: str) -> str:
    """Rotary positions of a stack's tokens: their index, 0 for segments without rotary."""
    if not node.block.attention.rotary:
        return "None"
    runs = []
    for segment in node.source.segments:
        count = lines.counts[segment.name]
        make = "torch.arange" if segment.rotary else "torch.zeros"
        runs.append(f"{make}({count}, device={like}.device)")
    return runs[0] if len(runs) == 1 else f"torch.cat([{', '.join(runs)}])"


def head(plan: ir.Plan, node: ir.Head, lines: Lines) -> None:
    """Read a stream."""
    xs = [lines.tensors[value.name] for value in node.sources]
    valids = [lines.valids[value.name] for value in node.sources]
    out = f"{node.name}_logits"
    if node.kind == "contrastive":
        arguments = {"first_btd": xs[0], "first_bt": valids[0]}
        arguments |= {"second_btd": xs[1], "second_bt": valids[1]}
        lines.write(f"{out} = {lines.requests.call(node.module, arguments)}")
    elif node.kind == "language-model":
        x = xs[0]
        segments = [segment.name for segment in node.sources[0].segments]
        if len(segments) > 1:
            at = segments.index(node.segment or "")
            counts = ", ".join(lines.counts[segment] for segment in segments)
            lines.write(f"{node.name}_parts = torch.split({x}, [{counts}], dim=1)")
            x = f"{node.name}_parts[{at}]"
        if node.tied:
            lines.write(f"{out} = F.linear({x}, self.{node.tied}.table.weight)")
        else:
            lines.write(f"{out} = {lines.requests.call(node.module, {'x_btd': x})}")
    else:
        exits = _exit_stack(plan, node)
        arguments = {"x_btd": xs[0], "valid_bt": valids[0]}
        if exits is None:
            lines.write(f"{out} = {lines.requests.call(node.module, arguments)}")
        else:
            arguments["x_btd"] = "state_btd"
            call = lines.requests.call(node.module, arguments)
            lines.write(
                f"{node.name}_exits = [{call} for state_btd in {exits.stream}_states]",
                f"{out} = {node.name}_exits[-1]",
            )


def _exit_stack(plan: ir.Plan, node: ir.Head) -> ir.Stack | None:
    """The stack whose exits a head decides."""
    for stack_ in plan.stacks():
        if isinstance(stack_.halting, ir.Exit) and stack_.halting.head == node.name:
            return stack_
    return None


def losses(plan: ir.Plan, lines: Lines) -> None:
    """The objective of each head that `targets` names, and their weighted sum."""
    for node in plan.heads:
        lines.write(f'if "{node.name}" in targets:')
        if node.loss == "mse":
            logits, target = f"{node.name}_logits", f'targets["{node.name}"]'
            lines.write(f'    expect("targets of {node.name}", {target}, tuple({logits}.shape))')
        if _exit_stack(plan, node) is None:
            lines.write(f'    losses["{node.name}"] = {_loss(node, plan, lines)}')
            continue
        each = f'cross_entropy(exit_bc, targets["{node.name}"], {node.smoothing!r})'
        lines.write(
            f"    exits = [{each} for exit_bc in {node.name}_exits]",
            f'    losses["{node.name}"] = torch.stack(exits).mean()',
        )
    weights = {node.name: node.weight for node in plan.heads if node.weight != 1}
    if weights:
        shown = ", ".join(f'"{name}": {weight!r}' for name, weight in weights.items())
        lines.write(f"loss = weighted_loss(losses, auxiliary, {{{shown}}})")
    else:
        lines.write("loss = total_loss(losses, auxiliary)")


def _loss(node: ir.Head, plan: ir.Plan, lines: Lines) -> str:
    out, target = f"{node.name}_logits", f'targets["{node.name}"]'
    if node.loss == "contrastive":
        sides = [
            f"present({lines.tensors[value.name]}, {lines.valids[value.name]})"
            for value in node.sources
        ]
        return f"contrastive({out}, {', '.join(sides)})"
    if node.loss == "next-token":
        embedding = next(
            x for x in plan.nodes if isinstance(x, ir.Embed) and x.modality == node.segment
        )
        return f"next_token({out}, {target}, {lines.valids[embedding.out.name]})"
    if node.loss == "mse":
        return f"F.mse_loss({out}, {target})"
    return f"cross_entropy({out}, {target}, {node.smoothing!r})"


def constructor(plan: ir.Plan, requests: Requests) -> Iterator[str]:
    """Statements of `__init__`: one module a node or head."""
    for node in plan.nodes:
        if isinstance(node, ir.Project):
            yield f"self.{node.module} = nn.Linear({node.source.width}, {node.out.width})"
        elif node.module is not None:
            yield f"self.{node.module} = {requests.name(node.module)}()"
    for head_ in plan.heads:
        if head_.tied is None:
            yield f"self.{head_.module} = {requests.name(head_.module)}()"
