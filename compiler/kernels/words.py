"""Whether the numbers of a kernel need 64 bits: times of odd rates have great common multiples."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import Final

from mmspec.compiler.kernels.kernel_mask import Mask

__all__ = ["are_wide"]

_WIDEST: Final = 2**31
_KNOWN: Final = re.compile(r"tile|group|m|([ijqk]|queries|keys)(_frame|_row|_column)?")
"""Indices of tiles and tokens, and their coordinates."""


def are_wide(mask: Mask, lines: Iterable[str]) -> bool:
    """Whether a number that a kernel makes of lengths and indices may pass 32 bits."""
    bounds = _Bounds(mask)
    tree = ast.parse("\n".join(lines))
    found = (bounds.of(node) for node in ast.walk(tree) if isinstance(node, ast.expr))
    return any(bound is not None and bound >= _WIDEST for bound in found)


class _Bounds:
    """The largest size of expressions at a mask's longest lengths; None: not of tokens alone."""

    def __init__(self, mask: Mask) -> None:
        self.lengths, self.longest = mask.lengths, mask.longest
        self.tiles = mask.longest // min(side for pair in mask.tiles for side in pair) + 1

    def of(self, node: ast.expr) -> int | None:
        """As above."""
        if isinstance(node, ast.Constant):
            return abs(node.value) if type(node.value) is int else None
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, ast.UnaryOp):
            return self.of(node.operand)
        if isinstance(node, ast.Subscript):
            return self.of(node.value)
        if isinstance(node, ast.Call):
            return self._extreme(node)
        return self._operation(node) if isinstance(node, ast.BinOp) else None

    def _name(self, name: str) -> int | None:
        if name in ("i", "j"):
            return self.tiles
        return self.longest if name in self.lengths or _KNOWN.fullmatch(name) else None

    def _extreme(self, node: ast.Call) -> int | None:
        """Of `max` and `min`."""
        found = [self.of(argument) for argument in node.args]
        known = [bound for bound in found if bound is not None]
        is_one = isinstance(node.func, ast.Name) and node.func.id in ("max", "min")
        return max(known) if is_one and len(known) == len(found) else None

    def _operation(self, node: ast.BinOp) -> int | None:
        left, right = self.of(node.left), self.of(node.right)
        if left is None or right is None:
            return None
        if isinstance(node.op, ast.Add | ast.Sub):
            return left + right
        if isinstance(node.op, ast.Mult):
            return left * right
        if isinstance(node.op, ast.FloorDiv) and isinstance(node.right, ast.Constant):
            return left // max(right, 1) + 1
        return right if isinstance(node.op, ast.Mod) else left
