"""Masks -> the source of functions that say which keys a query sees, of all pairs."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator

from mmspec.compiler import ir
from mmspec.compiler.emit.coordinates import expression, statements
from mmspec.expressions import mask as masks

_LONG = 60
_LINE = 90
"""Characters of a name and its condition in the body of a function."""
FULL = masks.Pattern("full", ())
NONE = masks.Pattern("none", ())
Pairs = ir.Pairs
Groups = tuple[ir.Group, ...]
Segments = tuple[ir.Segment, ...]


def simplify(mask: masks.Mask) -> masks.Mask:
    """Remove `full` and `none` from inside an expression."""
    if isinstance(mask, masks.Not):
        operand = simplify(mask.operand)
        if operand in (FULL, NONE):
            return NONE if operand == FULL else FULL
        return masks.Not(operand)
    if isinstance(mask, masks.And | masks.Or):
        unit, zero = (FULL, NONE) if isinstance(mask, masks.And) else (NONE, FULL)
        left, right = simplify(mask.left), simplify(mask.right)
        if zero in (left, right):
            return zero
        if unit in (left, right):
            return right if left == unit else left
        return type(mask)(left, right)
    return mask


def is_causal(groups: Groups, queries: Segments, keys: Segments) -> bool:
    """Whether it is one segment under plain `causal`."""
    shown = [simplify(mask) for group in groups for *_, mask in group.masks]
    alone = len(queries) == len(groups) == 1 and queries == keys
    return alone and shown == [masks.Pattern("causal", ())]


def is_full(groups: Groups, queries: Segments, keys: Segments) -> bool:
    """Whether every query sees every key in every head."""
    return all(_is_full(group.masks, queries, keys) for group in groups)


def _is_full(pairs: Pairs, queries: Segments, keys: Segments) -> bool:
    shown = {(query, key) for query, key, mask in pairs if simplify(mask) == FULL}
    return all((query.name, key.name) in shown for query in queries for key in keys)


def terms(mask: masks.Mask, query: ir.Segment, key: ir.Segment) -> tuple[list[str], str]:
    """A mask as one expression, or as a statement a pattern and what joins them when long."""
    whole = expression(mask, query, key)
    if isinstance(mask, masks.Pattern) and len(whole) + len("seen_qk") > _LINE:
        return fitting("seen_qk", whole), "seen_qk"
    if len(whole) <= _LONG or isinstance(mask, masks.Pattern):
        return [], whole
    names: dict[masks.Pattern, str] = {}
    joined = _joined(mask, names)
    texts = ((name, expression(one, query, key)) for one, name in names.items())
    return [line for name, text in texts for line in fitting(name, text)], joined


def fitting(name: str, text: str) -> list[str]:
    """Statements that give a name a condition, side by side of its `&` where it is too long."""
    if len(name) + len(text) <= _LINE:
        return [f"{name} = {text}"]
    parts = _conjuncts(text)
    first = parts[0]
    if len(parts) > 1 and first.startswith("("):
        first = ast.unparse(ast.parse(first))
    return [f"{name} = {first}", *(f"{name} = {name} & {part}" for part in parts[1:])]


def _conjuncts(text: str) -> list[str]:
    """What a condition joins by `&`, outside of all parentheses."""
    parts, depth, start = [], 0, 0
    for at, sign in enumerate(text):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if depth == 0 and text[at : at + 3] == " & ":
            parts.append(text[start:at])
            start = at + 3
    return [*parts, text[start:]]


def _joined(mask: masks.Mask, names: dict[masks.Pattern, str]) -> str:
    if isinstance(mask, masks.Pattern):
        number = sum(pattern.name == mask.name for pattern in names) + 1
        names.setdefault(mask, f"{mask.name}{number if number > 1 else ''}_qk")
        return names[mask]
    if isinstance(mask, masks.Not):
        inner = _joined(mask.operand, names)
        return f"~{inner}" if isinstance(mask.operand, masks.Pattern) else f"~({inner})"
    sign = "&" if isinstance(mask, masks.And) else "|"
    sides = [
        f"({_joined(side, names)})"
        if isinstance(side, masks.Or) and sign == "&"
        else _joined(side, names)
        for side in (mask.left, mask.right)
    ]
    return f" {sign} ".join(sides)


def function(
    name: str,
    owner: str,
    pairs: Pairs,
    sides: tuple[Segments, Segments],
    packed: tuple[str, ...] = (),
) -> str:
    """The source of a mask function: lengths of the segments -> bool [Tq, Tk].

    packed: segments whose documents it takes too, for a mask of each sample.
    """
    return "\n".join(_function(name, owner, (pairs, packed), *sides)) + "\n"


def parameters(queries: Segments, keys: Segments) -> tuple[str, ...]:
    """Names of a mask function's length parameters: each segment once."""
    return tuple(dict.fromkeys(segment.name for segment in (*queries, *keys)))


def documents(groups: Groups) -> tuple[str, ...]:
    """Segments whose documents the masks ask for."""
    found = [
        segment
        for group in groups
        for query, key, mask in group.masks
        if any(pattern.name == "document" for pattern in masks.patterns(simplify(mask)))
        for segment in (query, key)
    ]
    return tuple(dict.fromkeys(found))


def _function(
    name: str, owner: str, shown: tuple[Pairs, tuple[str, ...]], queries: Segments, keys: Segments
) -> Iterator[str]:
    """shown: the masks, and the segments whose documents the function takes."""
    pairs, packed = shown
    given = [f"{segment}: int" for segment in parameters(queries, keys)]
    given += [f"{segment}_document_bt: Tensor" for segment in packed]
    yield f"def {name}({', '.join(given)}, device: torch.device) -> Tensor:"
    shape = "B, Tq, Tk" if packed else "Tq, Tk"
    yield f'    """Which keys each query of {owner} sees: bool [{shape}].'
    yield ""
    for seeing, seen, mask in pairs or ((queries[0].name, keys[0].name, NONE),):
        text = f"{seeing} sees {seen}: {masks.unparse(mask)}"
        yield from textwrap.wrap(text, 96, initial_indent="    ", subsequent_indent="        ")
    yield '    """'
    batch = "batch" if packed else ""
    single = len(queries) == len(keys) == 1
    blocks = [
        line
        for query in queries
        for key in keys
        for line in _block(
            pairs,
            (query, key),
            "return" if single else f"{query.name}_sees_{key.name} =",
            batch,
        )
    ]
    if any("(batch, " in line for line in blocks):
        yield f"    batch = {packed[0]}_document_bt.shape[0]"
    yield from blocks
    if single:
        return
    yield "    return torch.cat("
    yield "        ["
    for query in queries:
        row = ", ".join(f"{query.name}_sees_{key.name}" for key in keys)
        yield f"            torch.cat([{row}], dim={2 if packed else 1}),"
    yield "        ]," if packed else "        ]"
    if packed:
        yield "        dim=1,"
    yield "    )"


def _mask(pairs: Pairs, query: str, key: str) -> masks.Mask:
    return next((simplify(m) for a, b, m in pairs if (a, b) == (query, key)), NONE)


def _block(
    pairs: Pairs, segments: tuple[ir.Segment, ir.Segment], target: str, batch: str
) -> Iterator[str]:
    """Statements that give `target` the mask of a pair, of every sample where there is a batch."""
    query, key = segments
    mask = _mask(pairs, query.name, key.name)
    if mask in (FULL, NONE):
        fill = "ones" if mask == FULL else "zeros"
        size = f"{batch}, {query.name}, {key.name}" if batch else f"{query.name}, {key.name}"
        yield f"    {target} torch.{fill}({size}, dtype=torch.bool, device=device)"
        return
    for line in statements(mask, query, key):
        yield f"    {line}"
    before, last = terms(mask, query, key)
    yield from (f"    {statement}" for statement in before)
    names = {pattern.name for pattern in masks.patterns(mask)}
    spread = f".expand({query.name}, -1)" if names == {"prefix"} else ""
    if batch and "document" not in names:
        spread = f".expand({batch}, {query.name}, {key.name})"
    if spread and len(last) > _LONG:
        yield f"    seen_qk = {last}"
        last = "seen_qk"
    yield f"    {target} ({last}){spread}" if spread else f"    {target} {last}"
