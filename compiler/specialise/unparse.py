"""Prints expressions and statements as ruff would format them, at 100 columns.

`ast.unparse` would do but for two things: its text differs between Python versions, and it knows
no line length. Layout follows black: the whole on one line, else the content of the last bracket
on a line of its own, else one element a line with a trailing comma.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

LIMIT = 100

_OPERATORS: dict[type[ast.AST], tuple[str, int]] = {
    ast.BitOr: ("|", 7),
    ast.BitXor: ("^", 8),
    ast.BitAnd: ("&", 9),
    ast.LShift: ("<<", 10),
    ast.RShift: (">>", 10),
    ast.Add: ("+", 11),
    ast.Sub: ("-", 11),
    ast.Mult: ("*", 12),
    ast.Div: ("/", 12),
    ast.FloorDiv: ("//", 12),
    ast.Mod: ("%", 12),
    ast.MatMult: ("@", 12),
    ast.Pow: ("**", 14),
}
_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
}
_UNARY: dict[type[ast.unaryop], str] = {ast.USub: "-", ast.UAdd: "+", ast.Invert: "~"}
_BRACKETS: dict[type[ast.expr], tuple[str, str]] = {
    ast.List: ("[", "]"),
    ast.ListComp: ("[", "]"),
    ast.Tuple: ("(", ")"),
    ast.GeneratorExp: ("(", ")"),
    ast.Set: ("{", "}"),
    ast.SetComp: ("{", "}"),
}
ATOM = 16

Item = tuple[str, ast.expr | ast.comprehension]


@dataclass(frozen=True, slots=True)
class Group:
    """A bracketed expression: `head` up to the bracket, labelled items, `tail` from the bracket."""

    head: str
    items: tuple[Item, ...]
    tail: str
    display: bool = False
    comma: bool = True


@dataclass(frozen=True, slots=True)
class Printer:
    """Prints nodes; `names` are the final names behind the placeholders."""

    names: Mapping[str, str] = field(default_factory=dict)

    def flat(self, node: ast.expr, level: int = 0) -> str:
        """An expression on one line, in parentheses where it binds looser than `level`."""
        text, own = self._flat(node)
        return f"({text})" if own < level else text

    def _flat(self, node: ast.expr) -> tuple[str, int]:
        match node:
            case ast.Name():
                return self.names.get(node.id, node.id), ATOM
            case ast.Constant():
                return constant(node.value), ATOM
            case ast.Attribute():
                return f"{self.flat(node.value, ATOM)}.{node.attr}", ATOM
            case ast.BinOp():
                return self._binary(node)
            case ast.UnaryOp(op=ast.Not()):
                return f"not {self.flat(node.operand, 5)}", 5
            case ast.UnaryOp(operand=ast.BinOp(op=ast.Pow())):
                return f"{_UNARY[type(node.op)]}({self.flat(node.operand)})", 13
            case ast.UnaryOp():
                return f"{_UNARY[type(node.op)]}{self.flat(node.operand, 13)}", 13
            case ast.BoolOp() | ast.Compare() | ast.IfExp():
                return " ".join(self.operands(node)), _level(node)
            case ast.Lambda():
                head = f"lambda {', '.join(self.parameters(node.args))}".rstrip()
                return f"{head}: {self.flat(node.body, 2)}", 2
            case ast.Starred():
                return f"*{self.flat(node.value, 7)}", 1
            case ast.Slice():
                return self._slice(node), ATOM
            case ast.JoinedStr():
                return f'f"{self._f_string(node)}"', ATOM
        group = self.group(node)
        separator = " " if any(isinstance(i, ast.comprehension) for _, i in group.items) else ", "
        items = separator.join(self._item(label, item) for label, item in group.items)
        if isinstance(node, ast.Tuple) and len(node.elts) == 1:
            items += ","
        return f"{group.head}{items}{group.tail}", ATOM

    def bare(self, node: ast.expr) -> str:
        """A target or returned value: a tuple goes without parentheses."""
        if isinstance(node, ast.Tuple) and len(node.elts) > 1:
            return ", ".join(self.flat(item, 1) for item in node.elts)
        return self.flat(node)

    def _item(self, label: str, item: ast.expr | ast.comprehension) -> str:
        if isinstance(item, ast.expr):
            return label + self.flat(item, 1)
        tests = "".join(f" if {self.flat(test, 3)}" for test in item.ifs)
        return f"for {self.bare(item.target)} in {self.flat(item.iter, 3)}{tests}"

    def group(self, node: ast.expr) -> Group:
        """The outermost bracket at the end of an expression."""
        match node:
            case ast.Call():
                named = [(f"{k.arg}=" if k.arg else "**", k.value) for k in node.keywords]
                alone = len(node.args) == 1 and not named
                if alone and isinstance(node.args[0], ast.GeneratorExp):
                    inner = self.group(node.args[0])
                    return Group(f"{self.flat(node.func, ATOM)}(", inner.items, ")", comma=False)
                items = (*(("", item) for item in node.args), *named)
                return Group(f"{self.flat(node.func, ATOM)}(", items, ")")
            case ast.Subscript():
                index = node.slice
                bare = isinstance(index, ast.Tuple) and len(index.elts) > 1
                keys = index.elts if isinstance(index, ast.Tuple) and bare else [index]
                keyed = tuple(("", key) for key in keys)
                return Group(f"{self.flat(node.value, ATOM)}[", keyed, "]", comma=bare)
            case ast.List() | ast.Tuple() | ast.Set():
                opening, closing = _BRACKETS[type(node)]
                return Group(opening, tuple(("", e) for e in node.elts), closing, display=True)
            case ast.Dict():
                pairs = zip(node.keys, node.values, strict=True)
                entries = tuple((f"{self.flat(k)}: " if k else "**", v) for k, v in pairs)
                return Group("{", entries, "}", display=True)
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
                opening, closing = _BRACKETS[type(node)]
                elements: list[Item] = [("", node.elt), *(("", g) for g in node.generators)]
                return Group(opening, tuple(elements), closing, display=True, comma=False)
            case ast.DictComp():
                entry = (f"{self.flat(node.key)}: ", node.value)
                return Group(
                    "{",
                    (entry, *(("", item) for item in node.generators)),
                    "}",
                    display=True,
                    comma=False,
                )
        raise AssertionError(f"{type(node).__name__} has no place in a part")

    def operands(self, node: ast.expr) -> list[str]:
        """The operands of an operator, each but the first led by its operator."""
        return [label + self.flat(item, level) for label, item, level in self.pieces(node)]

    def pieces(self, node: ast.expr) -> list[tuple[str, ast.expr, int]]:
        """Operands as (operator, expression, level that needs no parentheses)."""
        match node:
            case ast.BoolOp():
                word = "and " if isinstance(node.op, ast.And) else "or "
                found: list[tuple[str, ast.expr, int]] = []
                for item in node.values:
                    # `and` within `or` needs no parentheses: a chain of both is broken at each.
                    chain = isinstance(item, ast.BoolOp) and _level(item) > _level(node)
                    inner = self.pieces(item) if chain else [("", item, _level(node) + 1)]
                    (_, first, level), *others = inner
                    found += [(word if found else "", first, level), *others]
                return found
            case ast.Compare():
                pairs = zip(node.ops, node.comparators, strict=True)
                rest = [(f"{_COMPARISONS[type(op)]} ", item, 7) for op, item in pairs]
                return [("", node.left, 7), *rest]
            case ast.IfExp():
                return [("", node.body, 3), ("if ", node.test, 3), ("else ", node.orelse, 2)]
            case ast.BinOp() if not isinstance(node.op, ast.Pow):
                word, level = _OPERATORS[type(node.op)]
                left = node.left
                same = isinstance(left, ast.BinOp) and _OPERATORS[type(left.op)][1] == level
                head = self.pieces(left) if same else [("", left, level)]
                return [*head, (f"{word} ", node.right, level + 1)]
        return [("", node, 0)]

    def _binary(self, node: ast.BinOp) -> tuple[str, int]:
        if not isinstance(node.op, ast.Pow):
            return " ".join(self.operands(node)), _level(node)
        space = "" if _plain_power(node.left) and _plain_power(node.right) else " "
        return f"{self.flat(node.left, 15)}{space}**{space}{self.flat(node.right, 13)}", 14

    def _slice(self, node: ast.Slice) -> str:
        bounds = [node.lower, node.upper, node.step]
        space = "" if all(b is None or _plain_bound(b) for b in bounds) else " "
        lower, upper, step = ("" if b is None else self.flat(b) for b in bounds)
        text = (lower + space if lower else "") + ":" + (space + upper if upper else "")
        return f"{text}{space if upper else ''}:{space}{step}" if step else text

    def _f_string(self, node: ast.JoinedStr) -> str:
        parts: list[str] = []
        for item in node.values:
            if isinstance(item, ast.FormattedValue):
                assert item.conversion == -1, "no !r in the f-strings of parts"
                spec = item.format_spec
                suffix = f":{self._f_string(spec)}" if isinstance(spec, ast.JoinedStr) else ""
                value = self.flat(item.value)
                assert '"' not in value, "no string inside the f-strings of parts"
                parts.append(f"{{{value}{suffix}}}")
            elif isinstance(item, ast.Constant):
                text = constant(str(item.value), always_double=True)[1:-1]
                parts.append(text.replace("{", "{{").replace("}", "}}"))
        return "".join(parts)

    def parameters(self, arguments: ast.arguments) -> list[str]:
        """The parameters of a function, each with annotation and default."""
        assert not arguments.vararg and not arguments.kwarg, "parts take no *args"
        plain = [*arguments.posonlyargs, *arguments.args]
        defaults: Sequence[ast.expr | None] = [
            *[None] * (len(plain) - len(arguments.defaults)),
            *arguments.defaults,
        ]
        texts = [self._parameter(a, d) for a, d in zip(plain, defaults, strict=True)]
        if arguments.kwonlyargs:
            named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
            texts += ["*", *(self._parameter(a, d) for a, d in named)]
        return texts

    def _parameter(self, argument: ast.arg, default: ast.expr | None) -> str:
        if argument.annotation is None:
            return argument.arg if default is None else f"{argument.arg}={self.flat(default)}"
        text = f"{argument.arg}: {self.flat(argument.annotation)}"
        return text if default is None else f"{text} = {self.flat(default)}"


def constant(value: object, always_double: bool = False) -> str:
    """The text of a literal: only exact built-in types, in ASCII."""
    if type(value) is str:
        if not always_double and value.count('"') > value.count("'"):
            return ascii(value) if "'" not in value else "'" + _escaped(value, "'") + "'"
        return '"' + _escaped(value, '"') + '"'
    if type(value) is float:
        text = repr(value)
        if "n" in text:
            return f'float("{text}")'
        return text.replace("e+", "e").replace("e0", "e").replace("e-0", "e-")
    assert value is ... or type(value) in (int, bool, type(None), bytes), type(value)
    return "..." if value is ... else repr(value)


def _escaped(value: str, quote: str) -> str:
    body = value.replace("\\", "\\\\").replace(quote, "\\" + quote)
    return "".join(c if " " <= c <= "~" else ascii(c)[1:-1] for c in body)


def _level(node: ast.expr) -> int:
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)][1]
    if isinstance(node, ast.BoolOp):
        return 3 if isinstance(node.op, ast.Or) else 4
    return 6 if isinstance(node, ast.Compare) else 2


def _plain_power(node: ast.expr) -> bool:
    match node:
        case ast.Constant():
            return type(node.value) in (int, float)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Invert()):
            return _plain_power(node.operand)
        case ast.Attribute():
            return _plain_power(node.value) and not isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Name)


def _plain_bound(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp) and not isinstance(node.op, ast.Not):
        node = node.operand
    return isinstance(node, ast.Constant | ast.Name)
