"""Objectives: the loss of each head, as statements of `forward`."""

from __future__ import annotations

import re

from mmspec.compiler import ir
from mmspec.compiler.emit.heads import part
from mmspec.compiler.emit.wiring import Lines


def losses(plan: ir.Plan, lines: Lines) -> None:
    """The objective of each head that `targets` names, and their weighted sum."""
    more = ", *auxiliary.values()" * lines.gives("auxiliary")
    for node in plan.heads:
        lines.write(f'if "{node.name}" in targets:')
        if node.told:
            lines.write(
                f"    # a token of {node.segment} that the row before it sees carries no loss",
                *(f"    {line}" for line in _told(node, lines)[1]),
            )
        if plan.exits(node) is None:
            loss = _loss(node, node.variable, plan, lines)
            lines.write(f'    losses["{node.name}"] = {loss}')
            continue
        each = _loss(node, "exit_bc", plan, lines)
        lines.write(
            f"    exits = [{each} for exit_bc in {node.name}_exits]",
            f'    losses["{node.name}"] = torch.stack(exits).mean()',
        )
    weights = {node.name: node.weight for node in plan.heads if node.weight != 1}
    if weights:
        shown = ", ".join(f'"{name}": {weight!r}' for name, weight in weights.items())
        lines.write(f"loss = weighted_loss(losses, {{{shown}}}{more})")
    elif len(plan.heads) == 1 and not more:
        lines.write(f'loss = losses.get("{plan.heads[0].name}")')
    else:
        lines.write(f"loss = total_loss(losses{more})")


def _loss(node: ir.Head, logits: str, plan: ir.Plan, lines: Lines) -> str:
    """The call of a head's loss with what it takes."""
    target = f'targets["{node.name}"]'
    if node.told:
        target = f"{target}.masked_fill({_told(node, lines)[0]}, -100)"
    if node.segment in plan.separate and isinstance(node.loss, ir.NextToken):
        target = f"within_documents({target}, {lines.documents[node.segment]})"
    there = [
        f"present({lines.tensors[value.name]}, {lines.valids[value.name]})"
        for value in node.sources
    ]
    known = {"logits": logits, "target": target, "present": ", ".join(there)}
    known["smoothing"] = repr(getattr(node.loss, "smoothing", 0.0))
    for x in plan.nodes:
        if isinstance(x, ir.Embed) and x.modality == node.segment:
            cut = f"[:, {x.sum.lead}:]" if x.sum.lead else ""
            known.setdefault("valid", part(lines.valids[x.out.name], cut))
    return f"{node.loss.function}({', '.join(known[name] for name in node.loss.takes)})"


def _told(node: ir.Head, lines: Lines) -> tuple[str, list[str]]:
    """The condition of tokens without a loss, and the statements that name what it speaks of."""
    name, logits, document = node.name, node.variable, lines.documents[node.segment or ""]
    variables = {
        "k": (f"{name}_token_t", f"torch.arange({logits}.shape[1], device={logits}.device)"),
        "p": (f"{name}_place_bt", f"document_places({document})"),
    }
    condition, made = node.told, []
    for letter, (variable, value) in variables.items():
        condition, count = re.subn(rf"\b{letter}\b", variable, condition)
        made += [f"{variable} = {value}"] * bool(count)
    return condition, made
