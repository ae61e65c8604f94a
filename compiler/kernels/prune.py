"""Generated functions without the names that nothing reads: every value in them is pure."""

from __future__ import annotations

import ast

__all__ = ["pruned"]


def pruned(source: str) -> str:
    """The source of a function without assignments of a name that it never reads."""
    while True:
        tree = ast.parse(source)
        read = {
            node.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }
        dead = [node for node in ast.walk(tree) if isinstance(node, ast.stmt) and _dead(node, read)]
        if not dead:
            return source
        gone = {line for node in dead for line in range(node.lineno, (node.end_lineno or 0) + 1)}
        lines = source.splitlines(keepends=True)
        source = "".join(line for at, line in enumerate(lines, 1) if at not in gone)


def _dead(statement: ast.stmt, read: set[str]) -> bool:
    """Whether it names what is not read, or holds nothing else."""
    if isinstance(statement, ast.If | ast.For):
        return all(_dead(inner, read) for inner in (*statement.body, *statement.orelse))
    if not isinstance(statement, ast.Assign):
        return False
    (target,) = statement.targets
    return isinstance(target, ast.Name) and target.id not in read
