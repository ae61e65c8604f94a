"""The sources of the parts: statements that remember their text, comments and blank lines.

A `Statement` pairs an `ast.stmt` with the lines it was read from. Rewriting keeps identity: what
nothing changed still holds its text and prints as its author wrote it.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import ModuleType

from mmspec.compiler.specialise.nodes import descend, names_read

COMPOUND = (ast.If, ast.For, ast.While, ast.With, ast.FunctionDef, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement; of a compound one, `node` stands for the header and the blocks lie beside it.

    `lines` is the original text (header only), dedented; empty once the statement was changed.
    `repeated`: it is of a loop that was written out.
    """

    node: ast.stmt
    lines: tuple[str, ...] = ()
    above: tuple[str, ...] = ()
    gap: bool = False
    comment: str = ""
    column: int = 0
    chained: bool = False
    repeated: bool = False
    body: tuple[Statement, ...] = ()
    orelse: tuple[Statement, ...] = ()

    def changed(self, node: ast.stmt) -> Statement:
        """The statement with another node; itself where the node is the same."""
        return self if node is self.node else replace(self, node=node, lines=())

    def header(self) -> tuple[ast.AST, ...]:
        """The nodes that are read or stored by this statement itself, not by its blocks."""
        found: tuple[ast.AST, ...] | None = self.node.__dict__.get("_header")
        if found is None:
            found = self.node.__dict__["_header"] = tuple(_header(self.node))
        return found


def _header(node: ast.stmt) -> Iterator[ast.AST]:
    for field, value in ast.iter_fields(node):
        if field in ("body", "orelse") and isinstance(node, COMPOUND):
            continue
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, ast.AST):
                yield item


@dataclass(frozen=True, slots=True)
class Part:
    """A part: its class statement, its methods by name and its other class-level statements."""

    name: str
    members: tuple[Statement, ...]
    base: str = ""
    """The part that it derives from, if it is not `nn.Module`."""

    @property
    def init(self) -> ast.FunctionDef | None:
        """The constructor, if the part defines one."""
        found = self.named("__init__")
        return found.node if found and isinstance(found.node, ast.FunctionDef) else None

    def named(self, name: str) -> Statement | None:
        """The method of that name, if the part defines one."""
        return next((member for member in self.members if _name(member) == name), None)


@dataclass(frozen=True, slots=True)
class Helper:
    """A module-level function, constant or plain class, kept as it is.

    `followers` are statements that complete it, such as the registration of a custom operator.
    """

    name: str
    source: str
    statement: Statement
    followers: tuple[Helper, ...] = ()


@dataclass(frozen=True, slots=True)
class Library:
    """All that the part modules define, and the import line behind each imported name."""

    parts: Mapping[str, Part]
    helpers: Mapping[str, Helper]
    imports: Mapping[str, str]


@cache
def library(modules: tuple[ModuleType, ...]) -> Library:
    """The union of several part modules; a name must mean one thing in all of them."""
    parts: dict[str, Part] = {}
    helpers: dict[str, Helper] = {}
    imports: dict[str, str] = {}
    for module in modules:
        read = read_module(module)
        clash = (parts.keys() | helpers.keys()) & (read.parts.keys() | read.helpers.keys())
        assert not clash, f"{module.__name__} defines {sorted(clash)} again"
        for alias, line in read.imports.items():
            assert imports.setdefault(alias, line) == line, f"`{alias}` is imported in two ways"
        parts.update(read.parts)
        helpers.update(read.helpers)
    own = parts.keys() | helpers.keys()
    parts = {name: inherited(part, parts) for name, part in parts.items()}
    return Library(parts, helpers, {k: v for k, v in imports.items() if k not in own})


def inherited(part: Part, parts: Mapping[str, Part]) -> Part:
    """A part with what it has of the part that it derives from, as if it were written there."""
    if part.base not in parts:
        return part
    above = inherited(parts[part.base], parts)
    own = {_name(member): member for member in part.members}
    left = {_name(member): member for member in above.members}
    for name, member in own.items():
        own[name] = replace(member, body=tuple(_written_out(member.body, own, above, left)))
    members = [own.pop(name, member) for name, member in left.items()]
    members.extend(own.values())
    methods = [member for member in members if isinstance(member.node, ast.FunctionDef)]
    methods.sort(key=lambda method: _name(method) != "__init__")
    others = (member for member in members if not isinstance(member.node, ast.FunctionDef))
    return Part(part.name, (*others, *methods))


def _written_out(
    body: Iterable[Statement], own: Container[str], above: Part, left: dict[str, Statement]
) -> Iterator[Statement]:
    """A method's statements; for a call of a method of the part above, what that one does.

    Such a statement is `super().method(...)`, or `self._method(...)` or its `return`, which is then
    no more `left`. It gives names that are those of the parameters.
    """
    for statement in body:
        node = statement.node
        call = node.value if isinstance(node, ast.Expr | ast.Return) else None
        called = ast.unparse(call.func) if isinstance(call, ast.Call) else ""
        of, _, name = called.rpartition(".")
        private = of == "self" and name.startswith("_") and name not in own
        method = above.named(name) if private or of == "super()" else None
        if method is None or not isinstance(call, ast.Call):
            yield statement
            continue
        assert isinstance(method.node, ast.FunctionDef)
        taken = [item.arg for item in method.node.args.args][1:]
        given = [getattr(item, "id", "") for item in call.args]
        same = given == taken[: len(given)] and not call.keywords
        assert same, f"{ast.unparse(call)}: not {taken}"
        if private:
            left.pop(name, None)
        defaults = method.node.args.defaults[len(given) - len(taken) :] if given != taken else ()
        set_here = [
            Statement(ast.Assign([ast.Name(name, ast.Store())], default))
            for name, default in zip(taken[len(given) :], defaults, strict=True)
        ]
        first, *rest = (*set_here, *method.body)
        yield replace(first, gap=statement.gap, above=(*statement.above, *first.above))
        yield from rest


def _name(member: Statement) -> str:
    """A method's name; the docstring's is empty; of anything else its text."""
    node = member.node
    if isinstance(node, ast.FunctionDef):
        return node.name
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return "" if text else "\n".join(member.lines)


@cache
def read_module(module: ModuleType) -> Library:
    """Parse one part module (once per process)."""
    text = inspect.getsource(module)
    assert text.isascii(), f"{module.__name__} must be ASCII"
    lines = text.splitlines()
    parts: dict[str, Part] = {}
    helpers: dict[str, Helper] = {}
    imports: dict[str, str] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports.update(_import_lines(node))
        elif isinstance(node, ast.ClassDef) and _is_part(node, {*parts, *_ours(imports)}):
            assert not node.decorator_list, f"{node.name}: parts take no decorator"
            base = ast.unparse(node.bases[0])
            parts[node.name] = Part(node.name, parse_block(node.body, lines), base)
        else:
            _keep(node, lines, helpers)
    return Library(parts, helpers, imports)


def parse_block(nodes: Iterable[ast.stmt], lines: Sequence[str]) -> tuple[Statement, ...]:
    """The statements of one block with their comments and text."""
    return tuple(_parse(node, lines, first=index == 0) for index, node in enumerate(nodes))


def _parse(node: ast.stmt, lines: Sequence[str], first: bool) -> Statement:
    start, column = _start(node), node.col_offset
    end = _header_end(node, lines)
    above, gap = _above(start, column, lines)
    text = tuple(line[column:] for line in lines[start - 1 : end])
    orelse: list[ast.stmt] = getattr(node, "orelse", [])
    return Statement(
        node=node,
        lines=text,
        above=above,
        gap=gap and not first,
        comment=_trailing_comment(node, lines[end - 1]),
        column=column,
        chained=lines[start - 1].lstrip().startswith("elif "),
        body=parse_block(node.body, lines) if isinstance(node, COMPOUND) else (),
        orelse=parse_block(orelse, lines),
    )


def _start(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(item.lineno for item in decorators)])


def _header_end(node: ast.stmt, lines: Sequence[str]) -> int:
    if not isinstance(node, COMPOUND):
        assert not hasattr(node, "body"), f"line {node.lineno}: {type(node).__name__} in a part"
        return node.end_lineno or node.lineno
    end = _start(node.body[0]) - 1
    while not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#"):
        end -= 1
    assert end >= node.lineno, f"line {node.lineno}: a block starts on its own line"
    return end


def _above(start: int, column: int, lines: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """The comments over a line at its own column, and whether a blank line precedes them."""
    comments: list[str] = []
    gap = False
    for line in reversed(lines[: start - 1]):
        if not line.strip():
            gap = True
            continue
        if gap or not line.startswith(" " * column + "#"):
            break
        comments.insert(0, line.strip())
    return tuple(comments), gap


def _trailing_comment(node: ast.stmt, line: str) -> str:
    if isinstance(node, COMPOUND):
        found = re.search(r":\s+(#.*)$", line)
        return found[1] if found else ""
    rest = line.encode()[node.end_col_offset or 0 :].decode().strip()
    return rest if rest.startswith("#") else ""


def _ours(imports: Mapping[str, str]) -> Iterator[str]:
    """Names that come from other modules of parts."""
    return (name for name, line in imports.items() if line.startswith("from mmspec."))


def _is_part(node: ast.ClassDef, known: Container[str]) -> bool:
    """Whether a class derives from torch's module or another part, and from nothing else."""
    bases = [ast.unparse(base) for base in node.bases]
    return bases in (["nn.Module"], ["torch.nn.Module"]) or (len(bases) == 1 and bases[0] in known)


def _import_lines(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    prefix = f"from {node.module} import " if isinstance(node, ast.ImportFrom) else "import "
    if prefix.startswith("from __future__"):
        return
    for item in node.names:
        rename = f" as {item.asname}" if item.asname else ""
        yield item.asname or item.name.split(".")[0], f"{prefix}{item.name}{rename}"


def _keep(node: ast.stmt, lines: Sequence[str], helpers: dict[str, Helper]) -> None:
    """File a statement under the name it defines, or under the helper it completes."""
    assert not isinstance(node, ast.If), f"line {node.lineno}: no branch at the top of a module"
    above, _ = _above(_start(node), 0, lines)
    text = "\n".join([*above, *lines[_start(node) - 1 : node.end_lineno]])
    name = _defined(node)
    made = Helper(name, text, parse_block([node], lines)[0])
    if name not in ("", "_"):
        helpers[name] = made
        return
    leader = _completed(node)
    if leader in helpers:
        helpers[leader] = replace(helpers[leader], followers=(*helpers[leader].followers, made))


def _completed(node: ast.stmt) -> str:
    """`f` of the statement `f.register(...)` and of a function decorated `@f.register`."""
    if isinstance(node, ast.FunctionDef) and node.decorator_list:
        found: ast.AST = node.decorator_list[0]
    else:
        found = node.value if isinstance(node, ast.Expr) else node
    while isinstance(found, ast.Call | ast.Attribute):
        found = found.func if isinstance(found, ast.Call) else found.value
    return found.id if isinstance(found, ast.Name) else ""


def _defined(node: ast.stmt) -> str:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.Assign | ast.AnnAssign):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        return target.id if isinstance(target, ast.Name) else ""
    return ""


def names_bound(statement: Statement) -> set[str]:
    """Every name that a function binds: its parameters, and all that it stores."""
    bound: set[str] = set()
    for inner in walk([statement]):
        for node in inner.header():
            for item in descend(node):
                if isinstance(item, ast.arg):
                    bound.add(item.arg)
                elif isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store):
                    bound.add(item.id)
    return bound


def names_used(statement: Statement) -> Iterator[str]:
    """Names of the module that a statement and all inside it read, in order."""
    local = names_bound(statement) if isinstance(statement.node, ast.FunctionDef) else set()
    for inner in walk([statement]):
        for node in inner.header():
            yield from (name for name in names_read(node) if name not in local)


def walk(statements: Iterable[Statement]) -> list[Statement]:
    """Statements and all that they enclose, in order."""
    found: list[Statement] = []
    for statement in statements:
        found.append(statement)
        for block in (statement.body, statement.orelse):
            if block:
                found += walk(block)
    return found
