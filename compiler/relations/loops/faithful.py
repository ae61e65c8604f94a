"""Whether loops visit what they were made for: each tile once, at every length.

isl's code generator now and then loses a tile, where a set has divisions that it cannot see
through. So its loops are read back as a set, and the two are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mmspec.compiler.relations.isl import isl
from mmspec.compiler.relations.limit import TooHardError, limited
from mmspec.compiler.relations.loops.loops import Block, If, Run, build, free, images
from mmspec.compiler.relations.syntax import Expression, Operation, write

__all__ = ["faithful", "proved"]


@dataclass(frozen=True, slots=True)
class _Path:
    """What leads to a node."""

    loops: tuple[str, ...] = ()
    """Their variables."""
    facts: tuple[str, ...] = ()
    """What holds there, as isl reads it."""


def proved(
    tiles: Mapping[bool, isl.Map],
    context: isl.Set,
    names: tuple[tuple[str, ...], tuple[str, ...]],
    operations: int,
) -> Block | None:
    """Loops over tiles as `build` makes them; None where it gives up, or they are not faithful.

    None too where that takes isl more than so many operations.
    """
    try:
        with limited(operations):
            loops = build(tiles, context, names)
            if free(loops, frozenset(_parameters(context))):
                return None
            return loops if faithful(loops, tiles, context, names) else None
    except (isl.Error, TooHardError):
        return None


def faithful(
    block: Block,
    tiles: Mapping[bool, isl.Map],
    context: isl.Set,
    names: tuple[tuple[str, ...], tuple[str, ...]],
) -> bool:
    """Whether the loops visit each key tile that a query tile is mapped to once, and no other.

    tiles: by whether they are whole. context: what is known of the query tile's indices and of
    the lengths, its parameters. names: of the indices of query tile and key tile.
    """
    visits = _visits(block, context, len(names[1]))
    if visits is None or not visits[True].union(visits[False]).is_single_valued():
        return False
    space = context.get_space()
    return all(
        visits[whole]
        .domain()
        .is_equal(images(pairs, names[0]).align_params(space).intersect_params(context))
        for whole, pairs in tiles.items()
    )


def _parameters(context: isl.Set) -> list[str]:
    """What is known where loops begin."""
    dims = range(context.n_param())
    return [str(context.get_dim_name(isl.dim_type.param, at)) for at in dims]


def _visits(block: Block, context: isl.Set, coordinates: int) -> dict[bool, isl.Map] | None:
    """The tiles of whole runs and of others, each with what leads to it; None: isl cannot read
    what it wrote.
    """
    paths = list(_runs(block, _Path()))
    depth = max((len(path.loops) for _, path in paths), default=0)
    parameters = _parameters(context)
    places = [f"c{at}" for at in range(coordinates)]
    visits = dict.fromkeys((True, False), _nothing(parameters, places, depth))
    for number, (run, path) in enumerate(paths):
        try:
            found = isl.Map(_visit(number, run, path, (parameters, places, depth)))
            visits[run.whole] = visits[run.whole].union(found.intersect_params(context))
        except isl.Error:
            return None
    return visits


_Shape = tuple[list[str], list[str], int]


def _nothing(parameters: list[str], places: list[str], depth: int) -> isl.Map:
    to = ", ".join(["number", *(f"v{at}" for at in range(depth))])
    return isl.Map(f"[{', '.join(parameters)}] -> {{ [{', '.join(places)}] -> [{to}] : false }}")


def _visit(number: int, run: Run, path: _Path, shape: _Shape) -> str:
    """The tiles of a run, each with the number of the run and its loops' variables: isl's text."""
    parameters, places, depth = shape
    to = [str(number), *path.loops, *["0"] * (depth - len(path.loops))]
    *at, last = places
    facts = [_said(f"{place} = {{}}", value) for place, value in zip(at, run.at, strict=True)]
    facts += [*path.facts, *_between(last, run.start, run.stop, run.step)]
    return (
        f"[{', '.join(parameters)}] -> {{ [{', '.join(places)}] -> [{', '.join(to)}]"
        f" : {' and '.join(facts)} }}"
    )


def _between(name: str, start: Expression, stop: Expression, step: int) -> Iterator[str]:
    yield _said(f"{{}} <= {name} < {{}}", start, stop)
    if step != 1:
        yield _said(f"({name} - ({{}})) mod {step} = 0", start)


def _runs(block: Block, path: _Path) -> Iterator[tuple[Run, _Path]]:
    """Every run of the loops, and what leads to it."""
    for node in block:
        if isinstance(node, Run):
            yield node, path
        elif isinstance(node, If):
            condition = _said("{}", node.condition)
            yield from _runs(node.body, _Path(path.loops, (*path.facts, f"({condition})")))
            without = _Path(path.loops, (*path.facts, f"not ({condition})"))
            yield from _runs(node.otherwise, without)
        else:
            facts = *path.facts, *_between(node.variable, node.start, node.stop, node.step)
            yield from _runs(node.body, _Path((*path.loops, node.variable), facts))


def _said(words: str, *of: Expression) -> str:
    """What is said of expressions as isl reads it: case by case where one of them is a choice."""
    for place, expression in enumerate(of):
        choice = _choice(expression)
        if choice is None:
            continue
        condition = _said("{}", choice.of[0])
        yes, no = (
            _said(words, *of[:place], _put(expression, choice, other), *of[place + 1 :])
            for other in choice.of[1:]
        )
        return f"(({condition}) and ({yes}) or not ({condition}) and ({no}))"
    return words.format(*(write(expression, "isl") for expression in of))


def _choice(expression: Expression) -> Operation | None:
    """The first choice between two numbers in an expression."""
    if not isinstance(expression, Operation):
        return None
    if expression.name == "if":
        return expression
    return next(filter(None, map(_choice, expression.of)), None)


def _put(expression: Expression, choice: Operation, other: Expression) -> Expression:
    """The same with another expression instead of a choice."""
    if expression == choice:
        return other
    if not isinstance(expression, Operation):
        return expression
    return Operation(expression.name, tuple(_put(part, choice, other) for part in expression.of))
