"""Keys that a later query may still see: what a cache has to keep, for every length at once.

alive(mask, query, key) -> Alive: {k : q sees k for some q >= t}, t the tokens there are so far.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mmspec.compiler.relations.counting.counting import count
from mmspec.compiler.relations.counting.summation import TooManyPiecesError
from mmspec.compiler.relations.isl import isl
from mmspec.compiler.relations.limit import TooHardError, limited
from mmspec.compiler.relations.meaning.definitions import meaning, widest
from mmspec.compiler.relations.meaning.formula import as_isl
from mmspec.compiler.relations.meaning.geometry import Geometry, line
from mmspec.compiler.relations.syntax import Expression, Operation, added, read, replaced, write
from mmspec.expressions.mask import Mask

__all__ = ["Alive", "alive", "as_python", "condition"]

_OPERATIONS: Final = 200_000
_TURNED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "=="}
_WORDS: Final = {"and": " & ", "or": " | "}


@dataclass(frozen=True, slots=True)
class Alive:
    """A condition on k and t, and how many keys before t meet it at most.

    condition: 1 where all of them do, 0 where none does. most: None where that grows with t.
    """

    condition: Expression
    most: int | None

    @property
    def all(self) -> bool:
        """Whether every key lives as long as the sequence."""
        return self.condition == 1

    @property
    def none(self) -> bool:
        """Whether no later query sees any key."""
        return self.condition == 0

    def source(self, k: str = "k") -> str:
        """The condition as Python reads it, for numbers and tensors; k: what a key is called."""
        if isinstance(self.condition, int):
            return "True" if self.condition else "False"
        return as_python(replaced(self.condition, "k", k))


ALL: Final = Alive(1, None)


def alive(masks: tuple[Mask, ...], query: Geometry, key: Geometry, own: bool = True) -> Alive:
    """Keys that queries from t on see under one of the masks, on and on: no segment ends here.

    query: a line. own: the keys are tokens of the same segment, those before t; otherwise all of
    another segment's, and t is 0. What isl cannot say in short is kept.
    """
    place = key if len(key.axes) == 1 else line("n")
    formulas = [meaning(widest(mask), query, place) for mask in masks]
    shown = " or ".join(f"({as_isl(formula)})" for formula in formulas)
    facts = "0 <= k < t" if own else "k >= 0 and t = 0"
    try:
        with limited(_OPERATIONS):
            context = isl.Set(f"[t] -> {{ [k] : {facts} }}")
            living = isl.Set(f"[t] -> {{ [k] : exists q : q >= t and ({shown}) }}")
            return _described(living.intersect(context).coalesce(), context)
    except TooHardError:
        return ALL


def _described(living: isl.Set, context: isl.Set) -> Alive:
    if context.is_subset(living):
        return ALL
    return Alive(condition(living, context), _most(living))


def condition(points: isl.Set, context: isl.Set) -> Expression:
    """What is true of k, and of parameters, where k is one of some numbers, within a context."""
    dims = isl.dim_type
    facts, known = (
        side.set_dim_name(dims.set, 0, "k")
        .move_dims(dims.param, side.dim(dims.param), dims.set, 0, 1)
        .params()
        for side in (points, context)
    )
    return _sorted(read(isl.AstBuild.from_context(known).expr_from_set(facts.gist(known))))


def _most(living: isl.Set) -> int | None:
    """How many there are at most, whatever t is."""
    if not living.is_bounded():
        return None
    try:
        return count(living, ("t",)).greatest()
    except TooManyPiecesError:
        return None


def _sorted(condition: Expression) -> Expression:
    """Comparisons with k alone on the left where that can be."""
    if not isinstance(condition, Operation):
        return condition
    if condition.name in _WORDS:
        return Operation(condition.name, tuple(map(_sorted, condition.of)))
    if condition.name not in _TURNED:
        return condition
    left, right, name = *condition.of, condition.name
    if _base(right) == "k" and _base(left) != "k":
        left, right, name = right, left, _TURNED[name]
    if _base(left) == "k" and isinstance(left, Operation):
        number = left.of[1]
        assert isinstance(number, int), left
        return Operation(name, ("k", added(right, -number)))
    return Operation(name, (left, right))


def _base(expression: Expression) -> Expression:
    """What a sum with a number is taken of."""
    match expression:
        case Operation("+", (base, int())):
            return base
    return expression


def as_python(condition: Expression) -> str:
    """A condition as Python reads it, for numbers and tensors."""
    if isinstance(condition, Operation) and condition.name in _WORDS:
        parts = _parts(condition, condition.name)
        return _WORDS[condition.name].join(f"({as_python(part)})" for part in parts)
    return write(condition)


def _parts(condition: Expression, name: str) -> tuple[Expression, ...]:
    """What `and` or `or` joins, however it is nested."""
    if isinstance(condition, Operation) and condition.name == name:
        return tuple(part for side in condition.of for part in _parts(side, name))
    return (condition,)
