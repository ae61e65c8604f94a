"""Removes what nothing reads any more: assignments, parameters, arguments and methods.

Works on the folded methods of one class; nested parts come first, so their surviving parameters
are known and calls of them can drop arguments.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from mmspec.compiler.specialise.nodes import descend, names_read, rebuild
from mmspec.compiler.specialise.purity import BUILTINS, Purity, Signature
from mmspec.compiler.specialise.source import Statement, walk
from mmspec.compiler.specialise.trim import (
    Gaps,
    attributes,
    element_pairs,
    expressions,
    fewer_arguments,
    fewer_targets,
    in_order,
    is_loose,
    is_self_call,
    loop_pairs,
    map_statements,
    negated,
    owner,
    parameters,
    real,
    self_calls,
    self_reads,
    tightened,
    to_itself,
    without,
    without_call,
    without_counter,
)

Drops = Callable[[ast.Call], ast.expr]
"""What becomes of a call whose method takes less; the call itself where it takes as much."""

ENTRIES = frozenset({"__init__", "forward", "reset_parameters", "extra_repr", "_apply"})


@dataclass
class Body:
    """The methods of one class while they shrink; `keep` names parameters that must stay."""

    methods: dict[str, Statement]
    purity: Purity
    keep: frozenset[str] = frozenset()
    before: dict[str, tuple[str, ...]] = field(default_factory=dict)
    loose: frozenset[str] = frozenset()
    gone: dict[str, set[str]] = field(default_factory=dict)

    def shrink(self) -> dict[str, Signature]:
        """Remove the dead until nothing changes; the signatures that are left."""
        self.before = {name: parameters(s) for name, s in self.methods.items()}
        self.loose = frozenset(name for name, s in self.methods.items() if is_loose(s))
        for name, method in self.methods.items():
            self.methods[name] = self._rewrite_calls(tightened(method), self._child_drops(method))
        while self._round():
            pass
        for name, method in self.methods.items():
            self.methods[name] = replace(method, body=self._finish(method))
        return {
            name: Signature(
                before,
                parameters(self.methods[name]),
                self.purity.is_pure(name),
                name in self.loose,
            )
            for name, before in self.before.items()
            if name in self.methods
        }

    def _round(self) -> bool:
        changed = False
        for name, method in list(self.methods.items()):
            live = self._live(method)
            body = self._sweep(method.body, live)
            dead = set(parameters(method)) - live - self.keep
            dead -= set(self.before[name]) if name == "__init__" or self._escapes(name) else set()
            if body != method.body or dead:
                changed = True
                self.methods[name] = replace(without(method, dead), body=body)
            if dead:
                self._drop_arguments(name, dead)
        return self._drop_methods() or changed

    def _drop_arguments(self, name: str, dead: set[str]) -> None:
        before = tuple(p for p in self.before[name] if p not in self.gone.get(name, set()))
        self.gone.setdefault(name, set()).update(dead)

        def drops(call: ast.Call) -> ast.expr:
            gone = frozenset(dead)
            return fewer_arguments(call, before, gone) if is_self_call(call, name) else call

        for caller, method in self.methods.items():
            self.methods[caller] = self._rewrite_calls(method, drops)

    def _drop_methods(self) -> bool:
        """Remove private methods that nothing calls, and methods that became empty."""
        changed = False
        for name, method in list(self.methods.items()):
            empty = not real(method.body) and name not in ("__init__", "forward")
            private = name.startswith("_") and name not in ENTRIES
            if empty and not self._escapes(name):
                for caller, s in self.methods.items():
                    self.methods[caller] = without_call(s, name)
            called = any(name in attributes(s) for n, s in self.methods.items() if n != name)
            if (empty or private) and not called:
                del self.methods[name]
                changed = True
        return changed

    def _escapes(self, name: str) -> bool:
        """Whether a method is used other than by calling it."""
        uses = [u for s in self.methods.values() for u in self_reads(s, name)]
        calls = [c for s in self.methods.values() for c in self_calls(s, name)]
        return len(uses) > len(calls)

    def _live(self, method: Statement) -> set[str]:
        """Names read by something that stays."""
        live: set[str] = set()
        waiting: list[tuple[set[str], set[str]]] = []
        for statement in walk(method.body):
            reads = {name for node in statement.header() for name in names_read(node)}
            if isinstance(statement.node, ast.AugAssign):
                reads |= {i.id for i in descend(statement.node.target) if isinstance(i, ast.Name)}
            targets = self.purity.removable(statement)
            pairs = element_pairs(statement.node)
            if targets and pairs:
                waiting += [({name}, set(names_read(value))) for name, value in pairs]
            elif targets:
                waiting.append((targets, reads))
            else:
                live |= reads
        while ready := [item for item in waiting if item[0] & live]:
            waiting = [item for item in waiting if not item[0] & live]
            live = live.union(*(reads for _, reads in ready))
        return live

    def _sweep(self, block: Sequence[Statement], live: set[str]) -> tuple[Statement, ...]:
        out: list[Statement] = []
        gaps = Gaps()
        for statement in block:
            left = self._swept(statement, live)
            gap = gaps.after(statement.gap, left is not None, real(out))
            if left is None:
                continue
            if out and self._overwritten(out[-1], left):
                gap = out.pop().gap
            out.append(left if left.gap == gap else replace(left, gap=gap))
        return tuple(out)

    def _overwritten(self, first: Statement, second: Statement) -> bool:
        """Whether a value is replaced at once by one that does not need it."""
        if not isinstance(first.node, ast.Assign) or not isinstance(second.node, ast.Assign):
            return False
        name = getattr(first.node.targets[0], "id", None)
        again = getattr(second.node.targets[0], "id", "")
        fresh = name == again and again not in names_read(second.node.value)
        return fresh and bool(self.purity.removable(first))

    def _swept(self, statement: Statement, live: set[str]) -> Statement | None:
        targets = self.purity.removable(statement)
        if (targets and not targets & live) or to_itself(statement.node):
            return None
        if targets - live:
            statement = statement.changed(fewer_targets(statement.node, live))
        node = statement.node
        if not isinstance(node, ast.If | ast.For | ast.While | ast.With):
            return statement
        body, orelse = self._sweep(statement.body, live), self._sweep(statement.orelse, live)
        if body != statement.body or orelse != statement.orelse:
            statement = replace(statement, body=body, orelse=orelse)
        if isinstance(node, ast.For) and not real(body) and self.purity.pure(node.iter):
            return None
        if isinstance(node, ast.If) and not real(body):
            if not real(orelse):
                return None if self.purity.pure(node.test) else statement
            return negated(statement, node)
        return statement

    def _finish(self, method: Statement) -> tuple[Statement, ...]:
        """Values nobody reads: a bare call instead of an assignment, no idle loop counters."""
        read = {
            name
            for statement in walk(method.body)
            for node in statement.header()
            for name in names_read(node)
        }

        def finish(statement: Statement) -> Statement:
            node = statement.node
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                if node.targets[0].id not in read:
                    statement = statement.changed(ast.Expr(node.value))
            if isinstance(node, ast.For):
                statement = statement.changed(without_counter(node, read))
            body, orelse = tuple(map(finish, statement.body)), tuple(map(finish, statement.orelse))
            if body == statement.body and orelse == statement.orelse:
                return statement
            return replace(statement, body=body, orelse=orelse)

        return tuple(map(finish, method.body))

    def _child_drops(self, method: Statement) -> Drops:
        aliases = self._aliases(method)
        self._stays_inside(method, aliases)

        def drops(call: ast.Call) -> ast.expr:
            func, name = call.func, "forward"
            attribute = owner(func, aliases)
            if attribute not in self.purity.children and isinstance(func, ast.Attribute):
                attribute, name = owner(func.value, aliases), func.attr
            found = self.purity.children.get(attribute or "", {}).get(name)
            if found and found.loose:
                return in_order(call, found.before, found.after)
            return fewer_arguments(call, found.before, found.dropped) if found else call

        return drops

    def _stays_inside(self, method: Statement, aliases: dict[str, str]) -> None:
        """A nested part whose calls lose arguments must not be called by anybody else."""
        calls = (node for node in expressions(method) if isinstance(node, ast.Call))
        for call in calls:
            if isinstance(call.func, ast.Name) and call.func.id in BUILTINS:
                continue
            for item in call.args:
                found = self.purity.children.get(owner(item, aliases) or "", {})
                lost = any(signature.dropped for signature in found.values())
                assert not lost, f"line {call.lineno}: a part is passed on, but its calls change"

    def _aliases(self, method: Statement) -> dict[str, str]:
        """Locals that hold a nested part: loop variables over, and items of, `self.x`."""
        aliases: dict[str, str] = {}
        pairs: list[tuple[ast.expr, ast.expr]] = []
        for statement in walk(method.body):
            node = statement.node
            if isinstance(node, ast.For):
                pairs += loop_pairs(node.target, node.iter)
            elif isinstance(node, ast.Assign):
                pairs.append((node.targets[0], node.value))
            for part in statement.header():
                for item in descend(part):
                    if isinstance(item, ast.comprehension):
                        pairs += loop_pairs(item.target, item.iter)
        for target, value in pairs:
            found = owner(value, aliases)
            if isinstance(target, ast.Name) and found in self.purity.children:
                aliases[target.id] = found or ""
        return aliases

    def _rewrite_calls(
        self,
        method: Statement,
        drops: Drops,
    ) -> Statement:
        def visit(node: ast.expr) -> ast.expr:
            new = rebuild(node, visit)
            return drops(new) if isinstance(new, ast.Call) else new

        return map_statements(method, lambda node: rebuild(node, visit))
