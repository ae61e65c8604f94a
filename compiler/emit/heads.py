"""What heads read of their streams, as statements of `forward`."""

from __future__ import annotations

from mmspec.compiler import ir
from mmspec.compiler.emit.wiring import Lines, tuple_of


def head(plan: ir.Plan, node: ir.Head, lines: Lines) -> None:
    """Read a stream, or several."""
    arguments: dict[str, str] = {}
    out = node.variable
    cuts = [_pooled(*each, lines) for each in zip(node.sources, node.taken, strict=False)]
    for side, value, (cut, valid) in zip(("first", "second"), node.sources, cuts, strict=False):
        arguments |= {f"{side}_btd": f"{lines.tensors[value.name]}{cut}", f"{side}_bt": valid}
    x, exits = _rows(node, lines), plan.exits(node)
    cut, valid = cuts[0] if cuts else ("", "None")
    arguments |= {"x_btd": f"{x}{cut}", "valid_bt": valid}
    arguments["table_vd"] = f"self.{node.tied}.table.weight"
    if not node.is_made:
        lines.write(f"{out} = F.linear({scaled(node, x)}, self.{node.tied}.table.weight)")
    elif exits is None:
        lines.write(f"{out} = {lines.requests.call(node.module, arguments)}")
    else:
        call = lines.requests.call(node.module, {**arguments, "x_btd": f"state_btd{cut}"})
        lines.write(
            f"{node.name}_exits = [{call} for state_btd in {exits.stream}_states]",
            f"{out} = {node.name}_exits[-1]",
        )


def scaled(node: ir.Head, x: str) -> str:
    """The tokens that a tied head reads, times its scale."""
    return x if node.scale == 1 else f"{node.scale!r} * {x}"


def _pooled(value: ir.Value, taken: ir.Taken, lines: Lines) -> tuple[str, str]:
    """What is cut out of the tokens of a source that are pooled, and which of these there are."""
    valid, cut = lines.valids[value.name], ""
    if taken.of:
        alone = len({segment.modality or segment.leads for segment in value.segments}) == 1
        counts = {
            s.name: str(s.tokens.max) if alone and s.tokens.symbol is None else lines.counts[s.name]
            for s in value.segments
        }
        cut = _cut([(counts[s.name], s.name in taken.of) for s in value.segments])
        valid = part(valid, cut)
        if not cut:
            read = tuple_of([str(segment.name in taken.of) for segment in value.segments])
            told = f"{lines.count(value)}, {read}, {valid}, {lines.tensors[value.name]}"
            valid = f"valid_among({told})"
    if taken.mark is not None:
        own = next(s.modality for s in value.segments if s.modality)
        valid = f"with_id({own}, {taken.mark}, {valid}, {lines.tensors[value.name]}{cut})"
    return cut, valid


def part(valid: str, cut: str) -> str:
    """Which of the tokens there are that a slice cuts out."""
    return f"None if {valid} is None else {valid}{cut}" if cut and valid != "None" else valid


def _cut(segments: list[tuple[str, bool]]) -> str:
    """Of segments (count, whether it is read) those that are, as a slice; empty: they are none."""
    read = [number for number, (_, is_read) in enumerate(segments) if is_read]
    first, last = read[0], read[-1] + 1
    ends = segments[: first if last == len(segments) else last]
    if len(read) < last - first or not all(count.isdigit() for count, _ in ends):
        return ""
    start, stop = (sum(int(count) for count, _ in ends[:end]) for end in (first, last))
    return f"[:, {start or ''}:{'' if last == len(segments) else stop}]"


def _rows(node: ir.Head, lines: Lines) -> str:
    """The tokens that a head reads: all of its first source, or those of its segment."""
    x = lines.tensors[node.sources[0].name]
    segments = [segment.name for segment in node.sources[0].segments]
    if node.segment is None or len(segments) == 1:
        return x
    counts = ", ".join(lines.counts[segment] for segment in segments)
    read = f"{node.name}_read"
    names = ", ".join(read if segment == node.segment else "_" for segment in segments)
    lines.write(f"{names} = torch.split({x}, [{counts}], dim=1)")
    return read
