"""Lays out statements: original text where nothing changed, black's line breaks elsewhere."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from mmspec.compiler.specialise.source import COMPOUND, Statement
from mmspec.compiler.specialise.unparse import ATOM, LIMIT, Item, Printer

Piece = tuple[str, ast.expr, int]
_OPERATION = (ast.BoolOp, ast.Compare, ast.IfExp, ast.BinOp)


def render(statements: Sequence[Statement], indent: int, printer: Printer) -> list[str]:
    """The lines of a block."""
    lines: list[str] = []
    for index, statement in enumerate(statements):
        spaced = statement.gap or isinstance(statement.node, ast.FunctionDef)
        if index and spaced:
            lines.append("")
        lines += render_statement(statement, indent, printer)
    return lines


def render_statement(statement: Statement, indent: int, printer: Printer) -> list[str]:
    """The lines of one statement with its comments and blocks."""
    pad = " " * indent
    lines = [pad + line for line in statement.above]
    header = _kept(statement, indent)
    if header is None:
        header = _print(statement, indent, printer)
        header = _with_comment(header, statement.comment, lines, pad)
    lines += header
    if isinstance(statement.node, COMPOUND):
        lines += render(statement.body, indent + 4, printer) or [f"{pad}    pass"]
    if statement.orelse:
        lines += _otherwise(statement.orelse, indent, printer)
    return lines


def _otherwise(orelse: Sequence[Statement], indent: int, printer: Printer) -> list[str]:
    pad = " " * indent
    if len(orelse) == 1 and orelse[0].chained:
        lines = render_statement(orelse[0], indent, printer)
        at = len(orelse[0].above)
        return [*lines[:at], lines[at].replace(f"{pad}if ", f"{pad}elif ", 1), *lines[at + 1 :]]
    return [f"{pad}else:", *render(orelse, indent + 4, printer)]


def _kept(statement: Statement, indent: int) -> list[str] | None:
    """The original lines, unless the statement changed or a change of place may rejoin them."""
    lines = statement.lines
    commented = any("#" in line for line in lines[:-1])
    moved = indent != statement.column and len(lines) > 1 and not commented
    if not lines or moved:
        return None
    first = lines[0]
    if first.startswith("elif "):
        first = first[2:]
    pad = " " * indent
    return [(pad + line).rstrip() for line in (first, *lines[1:])]


def _with_comment(header: list[str], comment: str, above: list[str], pad: str) -> list[str]:
    if not comment:
        return header
    last = f"{header[-1]}  {comment}"
    if len(last) <= LIMIT:
        return [*header[:-1], last]
    above.append(pad + comment)
    return header


def _print(statement: Statement, indent: int, printer: Printer) -> list[str]:
    node = statement.node
    match node:
        case ast.FunctionDef():
            decorators = [f"{' ' * indent}@{printer.flat(item)}" for item in node.decorator_list]
            return decorators + _define(node, indent, printer)
        case ast.If() | ast.While():
            word = "if " if isinstance(node, ast.If) else "while "
            return lay_out(word, node.test, ":", indent, printer)
        case ast.For():
            head = f"for {printer.bare(node.target)} in "
            return lay_out(head, node.iter, ":", indent, printer)
        case ast.With():
            texts = [_with_item(item, printer) for item in node.items]
            return [f"{' ' * indent}with {', '.join(texts)}:"]
    return _simple(node, indent, printer)


def _with_item(item: ast.withitem, printer: Printer) -> str:
    text = printer.flat(item.context_expr)
    return text + (f" as {printer.bare(item.optional_vars)}" if item.optional_vars else "")


def _simple(node: ast.stmt, indent: int, printer: Printer) -> list[str]:
    match node:
        case ast.Assign():
            head = "".join(f"{printer.bare(target)} = " for target in node.targets)
            if isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple):
                return _bare(head, node.value, indent, printer)
            return lay_out(head, node.value, "", indent, printer)
        case ast.AnnAssign():
            head = f"{printer.flat(node.target)}: {printer.flat(node.annotation)}"
            if node.value is None:
                return [" " * indent + head]
            return lay_out(f"{head} = ", node.value, "", indent, printer)
        case ast.AugAssign():
            sign = printer.operands(ast.BinOp(node.target, node.op, node.target))[-1].split()[0]
            head = f"{printer.flat(node.target)} {sign}= "
            return lay_out(head, node.value, "", indent, printer)
        case ast.Return():
            if node.value is None:
                return [f"{' ' * indent}return"]
            return _bare("return ", node.value, indent, printer)
        case ast.Expr(value=ast.YieldFrom() as given):
            return lay_out("yield from ", given.value, "", indent, printer)
        case ast.Expr(value=ast.Yield(value=ast.expr() as given)):
            return _bare("yield ", given, indent, printer)
        case ast.Expr():
            return lay_out("", node.value, "", indent, printer)
        case ast.Assert():
            tail = f", {printer.flat(node.msg)}" if node.msg else ""
            return lay_out("assert ", node.test, tail, indent, printer)
        case ast.Raise():
            assert node.exc is not None and node.cause is None
            return lay_out("raise ", node.exc, "", indent, printer)
        case ast.Pass() | ast.Break() | ast.Continue():
            return [" " * indent + type(node).__name__.lower()]
    raise AssertionError(f"{type(node).__name__} has no place in a part")


def _bare(head: str, node: ast.expr, indent: int, printer: Printer) -> list[str]:
    line = f"{' ' * indent}{head}{printer.bare(node)}"
    return [line] if len(line) <= LIMIT else lay_out(head, node, "", indent, printer)


def _define(node: ast.FunctionDef, indent: int, printer: Printer) -> list[str]:
    pad = " " * indent
    parameters = printer.parameters(node.args)
    returns = f" -> {printer.flat(node.returns)}" if node.returns else ""
    line = f"{pad}def {node.name}({', '.join(parameters)}){returns}:"
    if len(line) <= LIMIT:
        return [line]
    body = f"{pad}    {', '.join(parameters)}"
    inner = [body] if len(body) <= LIMIT else [f"{pad}    {item}," for item in parameters]
    return [f"{pad}def {node.name}(", *inner, f"{pad}){returns}:"]


def lay_out(
    head: str, node: ast.expr, tail: str, indent: int, printer: Printer, enclosed: bool = False
) -> list[str]:
    """Lines of `head` + expression + `tail`; `enclosed`: operators may break as they are."""
    pad = " " * indent
    line = f"{pad}{head}{printer.flat(node)}{tail}"
    if len(line) <= LIMIT:
        return [line]
    if isinstance(node, ast.UnaryOp) and isinstance(node.operand, _OPERATION):
        sign = printer.flat(node)[0]
        inner = lay_out("", node.operand, "", indent + 4, printer, enclosed=True)
        return [f"{pad}{head}{sign}(", *inner, f"{pad}){tail}"]
    pieces = _pieces(node, printer)
    if not enclosed and _ends_in_parentheses(pieces, pad + head, printer):
        (_, left, at), (word, right, _) = pieces
        inner = lay_out("", right, "", indent + 4, printer, enclosed=True)
        return [f"{pad}{head}{printer.flat(left, at)} {word}(", *inner, f"{pad}){tail}"]
    opened = _opened(pieces, printer)
    ends = len(pieces) == 2 and _ends_in_bracket(opened, head, indent, printer)
    if len(pieces) > 1 and not ends:
        if enclosed:
            return _stacked(head, pieces, tail, indent, printer)
        whole = f"{pad}    {printer.flat(node)}"
        inner = [whole] if len(whole) <= LIMIT else _stacked("", pieces, "", indent + 4, printer)
        return [f"{pad}{head}(", *inner, f"{pad}){tail}"]
    if len(pieces) > 1:
        *first, (word, last, _) = opened
        lead = " ".join([*(w + printer.flat(n, at) for w, n, at in first), word])
        return lay_out(head + lead, last, tail, indent, printer, enclosed)
    return _bracketed(head, node, tail, indent, printer)


def _stacked(
    head: str, pieces: Sequence[Piece], tail: str, indent: int, printer: Printer
) -> list[str]:
    lines: list[str] = []
    for index, (word, node, level) in enumerate(pieces):
        lead = head if index == 0 else ""
        end = tail if index == len(pieces) - 1 else ""
        if isinstance(node, ast.Name) and node.id.startswith("."):
            lines.append(f"{' ' * indent}{lead}{node.id}{end}")
        elif printer.flat(node, level) != printer.flat(node):
            lines += lay_out(f"{lead}{word}(", node, f"){end}", indent, printer, enclosed=True)
        elif isinstance(node, _OPERATION) and not _fits(lead + word, node, end, indent, printer):
            lines += _stacked(lead + word, printer.pieces(node), end, indent, printer)
        else:
            lines += lay_out(lead + word, node, end, indent, printer, enclosed=True)
    return lines


def _fits(head: str, node: ast.expr, tail: str, indent: int, printer: Printer) -> bool:
    return indent + len(head) + len(printer.flat(node)) + len(tail) <= LIMIT


def _pieces(node: ast.expr, printer: Printer) -> list[Piece]:
    """Where an expression may break outside its brackets: operators, or the calls of a chain."""
    if isinstance(node, _OPERATION):
        return printer.pieces(node)
    return _chain(node, printer)


def _chain(node: ast.expr, printer: Printer) -> list[Piece]:
    """`a.b(c).d(e).f(g)` as its links, if at least two of them follow a bracket."""
    links: list[str] = []
    current, suffix = node, ""
    while True:
        if isinstance(current, ast.Call | ast.Subscript):
            base = current.func if isinstance(current, ast.Call) else current.value
            suffix = printer.flat(current)[len(printer.flat(base, ATOM)) :] + suffix
            current = base
        elif isinstance(current, ast.Attribute):
            suffix = f".{current.attr}{suffix}"
            if isinstance(current.value, ast.Call | ast.Subscript):
                links.insert(0, suffix)
                suffix = ""
            current = current.value
        else:
            break
    if len(links) < 2 or not isinstance(node, ast.Call):
        return [("", node, 0)]
    first = ast.Name(printer.flat(current, ATOM) + suffix, ast.Load())
    return [("", first, 0), *(("", ast.Name(link, ast.Load()), 0) for link in links)]


def _ends_in_parentheses(pieces: Sequence[Piece], head: str, printer: Printer) -> bool:
    """Whether one operator is followed by an operation in parentheses that can be broken."""
    if len(pieces) != 2 or not isinstance(pieces[1][1], _OPERATION):
        return False
    (_, left, at), (word, right, level) = pieces
    first = f"{head}{printer.flat(left, at)} {word}("
    return printer.flat(right, level) != printer.flat(right) and len(first) <= LIMIT


def _opened(pieces: Sequence[Piece], printer: Printer) -> Sequence[Piece]:
    """One operator whose right side is a product: with the factors of that, `a + b * c`."""
    if len(pieces) != 2 or not isinstance(pieces[1][1], ast.BinOp):
        return pieces
    first, (word, product, level) = pieces
    if printer.flat(product, level) != printer.flat(product):
        return pieces
    (_, factor, inner), *rest = printer.pieces(product)
    return [first, (word, factor, inner), *rest]


def _ends_in_bracket(pieces: Sequence[Piece], head: str, indent: int, printer: Printer) -> bool:
    """Whether one operator is followed by a bracket that can be broken instead."""
    *lead, (word, last, _) = pieces
    if not isinstance(last, ast.Call | ast.Subscript):
        return False
    group = printer.group(last)
    left = " ".join(f"{sign}{printer.flat(node, level)}" for sign, node, level in lead)
    before = f"{' ' * indent}{head}{left} {word}{group.head}"
    return bool(group.items) and len(before) <= LIMIT


def _bracketed(head: str, node: ast.expr, tail: str, indent: int, printer: Printer) -> list[str]:
    """The content of the last bracket on its own line, or one element a line."""
    pad, deep = " " * indent, " " * (indent + 4)
    if not isinstance(node, ast.Call | ast.Subscript) and not _is_display(node):
        return [f"{pad}{head}{printer.flat(node)}{tail}"]
    group = printer.group(node)
    if not group.items:
        return [f"{pad}{head}{printer.flat(node)}{tail}"]
    opening = f"{pad}{head}{group.head}"
    closing = f"{pad}{group.tail}{tail}"
    flat = printer.flat(node)[len(group.head) : -len(group.tail)]
    if len(deep + flat) <= LIMIT and (not group.display or not group.comma):
        return [opening, deep + flat, closing]
    end = "," if group.comma else ""
    return [opening, *_elements(group.items, end, indent + 4, printer), closing]


def _elements(
    items: Iterable[Item],
    end: str,
    indent: int,
    printer: Printer,
) -> list[str]:
    lines: list[str] = []
    for label, item in items:
        if isinstance(item, ast.expr):
            lines += lay_out(label, item, end, indent, printer, enclosed=True)
            continue
        lines += lay_out(
            f"for {printer.bare(item.target)} in ", item.iter, "", indent, printer, enclosed=True
        )
        lines += [f"{' ' * indent}if {printer.flat(test, 3)}" for test in item.ifs]
    return lines


def _is_display(node: ast.expr) -> bool:
    return isinstance(
        node,
        ast.List | ast.Tuple | ast.Set | ast.Dict | ast.ListComp | ast.GeneratorExp | ast.DictComp,
    )
