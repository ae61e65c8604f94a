"""`Model.initialise`, which says how all of its weights start, where the spec names an `init`."""

from __future__ import annotations

from collections.abc import Iterator

from mmspec.compiler import ir
from mmspec.compiler.emit.constants import Named


def method(plan: ir.Plan, named: Named) -> Iterator[str]:
    """`initialise`, a method of the model's class; nothing where each part starts by itself."""
    how = plan.init
    if how is None:
        return
    yield "    def initialise(self) -> None:"
    yield f'        """{_summary(how)}"""'
    yield "        for name, weight in self.named_parameters():"
    yield '            if name.endswith(".bias"):'
    yield "                nn.init.zeros_(weight)"
    yield "            elif weight.dim() > 1:  # the weights of norms stay 1"
    yield f"                {_draw(how)}"
    if how.by_depth:
        yield from _by_depth(how, tuple(_depths(plan, named)))


def _summary(how: ir.Normal) -> str:
    within = f" within {how.cut} deviations" if how.cut else ""
    added = "; what blocks add is smaller by depth (GPT-2)" if how.by_depth else ""
    return f"Weights N(0, {how.std!r}){within}, biases 0{added}."


def _draw(how: ir.Normal) -> str:
    """The statement that draws a weight."""
    if how.cut:
        ends = f"a=-{how.cut} * {how.std!r}, b={how.cut} * {how.std!r}"
        return f"nn.init.trunc_normal_(weight, std={how.std!r}, {ends})"
    return f"nn.init.normal_(weight, std={how.std!r})"


def _depths(plan: ir.Plan, named: Named) -> Iterator[tuple[str, str]]:
    """Each module with blocks, and how many of them a token passes at most.

    Where their blocks do not all add to a token twice: half of how often all of them do.
    """
    for node in plan.nodes:
        if isinstance(node, ir.Stack) and node.depth:
            layers = sum(count for _, count in node.passes())
            adding = [(len(block.sublayers), count) for block, count in node.runs()]
            if all(adds == 2 for adds, _ in adding):
                yield node.module, named.of("depth", layers, node.stream)
                continue
            added = sum(adds * count for adds, count in adding) * layers // node.depth
            yield node.module, f"{added // 2}" if added % 2 == 0 else f"({added} / 2)"
        elif isinstance(node, ir.Fuse) and node.module and node.fusion.layers:
            yield node.module, named.of("depth", node.fusion.layers, f"{node.stream}_fusion")


def _by_depth(how: ir.Normal, depths: tuple[tuple[str, str], ...]) -> Iterator[str]:
    """The statements for what blocks add to the tokens: two projections in each."""
    pad, layers = "        ", "layers"
    if len(depths) == 1:
        ((module, layers),) = depths
        yield f"{pad}for name, weight in self.{module}.blocks.named_parameters():"
    else:
        yield f"{pad}depths = ("
        yield from (f"{pad}    (self.{module}, {depth})," for module, depth in depths)
        yield f"{pad})"
        yield f"{pad}for stack, layers in depths:"
        pad += "    "
        yield f"{pad}for name, weight in stack.blocks.named_parameters():"
    yield f'{pad}    if name.removesuffix(".weight").endswith((".output", ".down")):'
    additions = "2" if layers == "1" else f"2 * {layers}"
    yield f"{pad}        nn.init.normal_(weight, std={how.std!r} / math.sqrt({additions}))"
