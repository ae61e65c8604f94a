"""How many integer points a system of inequalities has, as polynomials in its parameters.

One variable after another is summed away: where its bounds have no factors the sum over it is a
polynomial again, one for each pair of a greatest lower and a least upper bound. A bound with a
factor is rounded, which needs a quotient; quotients of parameters become new parameters, and
variables are split into residue classes until no other quotient is left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from math import gcd, lcm, prod

from mmspec.compiler.relations.counting.power_sums import ONE, Affine, Polynomial, replaced, summed
from mmspec.compiler.relations.isl import isl

__all__ = ["Piece", "Quotients", "System", "TooManyPiecesError", "pieces"]

_MOST_CLASSES = 20_000


class TooManyPiecesError(ValueError):
    """The closed form would fill pages; the count of one length is still quick to find."""


@dataclass(frozen=True, slots=True)
class System:
    """Sums that are 0 and sums that are at least 0."""

    zero: tuple[Affine, ...]
    least: tuple[Affine, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """What to add where the conditions on the parameters hold."""

    conditions: System
    value: Polynomial


@dataclass(slots=True)
class Quotients:
    """Parameters that stand for floor(sum of parameters / divisor)."""

    names: dict[tuple[frozenset[tuple[str, int]], int], str] = field(default_factory=dict)
    definitions: dict[str, tuple[Affine, int]] = field(default_factory=dict)

    def floor(self, value: Affine, divisor: int) -> Affine:
        """The quotient as a sum."""
        common = gcd(divisor, *(n for name, n in value.items() if name))
        if common > 1:
            rest = {name: n // common for name, n in value.items()}
            value, divisor = rest, divisor // common
        if divisor == 1:
            return value
        whole = {name: n // divisor for name, n in value.items()}
        rest = {name: n % divisor for name, n in value.items() if n % divisor}
        if set(rest) <= {""}:
            return whole
        key = frozenset(rest.items()), divisor
        if key not in self.names:
            name = f"${len(self.names)}"
            self.names[key] = name
            self.definitions[name] = rest, divisor
        return _added(whole, {self.names[key]: 1})

    def facts(self, used: set[str]) -> list[Affine]:
        """What quotients are: 0 <= value - divisor * quotient < divisor."""
        found: list[Affine] = []
        for name in sorted(used & set(self.definitions)):
            value, divisor = self.definitions[name]
            rest = _added(value, {name: -divisor})
            found += [rest, _added({"": divisor - 1}, rest, -1)]
            found += self.facts(set(value))
        return found


def pieces(
    system: System, variables: frozenset[str], quotients: Quotients, value: Polynomial = ONE
) -> Iterator[Piece]:
    """The sum of a value over the integer points, for every value of the parameters."""
    reduced = _reduced(system, quotients)
    if reduced is None:
        return
    if not variables:
        yield Piece(reduced, _simpler(value, reduced.zero))
        return
    for row in reduced.zero:
        if variables & set(row):
            yield from _solved(reduced, row, variables, quotients, value)
            return
    name = _easiest(reduced, variables)
    for split, names, weight in _split(reduced, name, variables, value):
        yield from _eliminated(split, name, names, quotients, weight)


def _simpler(value: Polynomial, zero: tuple[Affine, ...]) -> Polynomial:
    """The same value without parameters that sums which are 0 give in terms of others."""
    for row in zero:
        given = [name for name, n in sorted(row.items()) if name and abs(n) == 1]
        if given:
            rest = {name: -n * row[given[0]] for name, n in row.items() if name != given[0]}
            value = replaced(value, given[0], rest)
    return value


def _added(left: Affine, right: Affine, factor: int = 1) -> dict[str, int]:
    total = dict(left)
    for name, n in right.items():
        total[name] = total.get(name, 0) + factor * n
    return {name: n for name, n in total.items() if n}


def _substituted(system: System, name: str, by: Affine) -> System:
    def row(old: Affine) -> Affine:
        factor = old.get(name, 0)
        if not factor:
            return old
        return _added({k: n for k, n in old.items() if k != name}, by, factor)

    return System(tuple(map(row, system.zero)), tuple(map(row, system.least)))


def _reduced(system: System, quotients: Quotients) -> System | None:
    """Without what follows from the rest; None where it has no solution."""
    rows = (*system.zero, *system.least)
    facts = quotients.facts({name for row in rows for name in row})
    names = sorted({name for row in (*rows, *facts) for name in row} - {""})
    space = isl.Space.create_from_names(isl.DEFAULT_CONTEXT, set=names)
    found = isl.BasicSet.from_constraint_matrices(
        space,
        _matrix(system.zero, names),
        _matrix((*system.least, *facts), names),
        *_COLUMNS,
    )
    if found.is_empty():
        return None
    found = found.remove_redundancies()
    return System(
        _rows(found.equalities_matrix(*_COLUMNS), names),
        _rows(found.inequalities_matrix(*_COLUMNS), names),
    )


_COLUMNS = (isl.dim_type.cst, isl.dim_type.param, isl.dim_type.set, isl.dim_type.div)


def _matrix(rows: tuple[Affine, ...], names: list[str]) -> isl.Mat:
    matrix = isl.Mat.alloc(isl.DEFAULT_CONTEXT, len(rows), 1 + len(names))
    for at, row in enumerate(rows):
        for place, name in enumerate(["", *names]):
            matrix = matrix.set_element_val(at, place, isl.Val(str(row.get(name, 0))))
    return matrix


def _rows(matrix: isl.Mat, names: list[str]) -> tuple[Affine, ...]:
    return tuple(
        {
            name: n
            for place, name in enumerate(["", *names])
            if (n := int(matrix.get_element_val(at, place).to_python()))
        }
        for at in range(matrix.rows())
    )


def _solved(
    system: System,
    row: Affine,
    variables: frozenset[str],
    quotients: Quotients,
    value: Polynomial,
) -> Iterator[Piece]:
    """Sum where a sum with variables is 0: one of them follows from the others."""
    name = min((abs(n), name) for name, n in row.items() if name in variables)[1]
    factor = row[name]
    rest = {k: -n if factor > 0 else n for k, n in row.items() if k != name}
    factor = abs(factor)
    left = {k: n // factor if k in variables else 0 for k, n in rest.items()}
    if all(n % factor == 0 for k, n in rest.items() if k in variables):
        fixed = {k: n for k, n in rest.items() if k not in variables}
        whole = _added(left, quotients.floor(fixed, factor))
        exact = _added(
            {k: n * factor for k, n in quotients.floor(fixed, factor).items()}, fixed, -1
        )
        found = _substituted(system, name, whole)
        found = System((*found.zero, exact), found.least)
        names = variables - {name}
        yield from pieces(found, names, quotients, replaced(value, name, whole))
        return
    fresh = f"{name}'"
    by = _added(left, {fresh: 1})
    found = _substituted(system, name, by)
    names = variables - {name} | {fresh}
    yield from pieces(found, names, quotients, replaced(value, name, by))


def _bounds(system: System, name: str) -> tuple[list[Affine], list[Affine]]:
    lower = [row for row in system.least if row.get(name, 0) > 0]
    upper = [row for row in system.least if row.get(name, 0) < 0]
    assert lower, f"no lower bound on {name}"
    assert upper, f"no upper bound on {name}"
    return lower, upper


def _classes(system: System, name: str, variables: frozenset[str]) -> dict[str, int]:
    """Into how many residue classes others must fall, for bounds to be sums of what is left."""
    found: dict[str, int] = {}
    for row in system.least:
        factor = abs(row.get(name, 0))
        for other in variables & set(row) - {name} if factor > 1 else ():
            found[other] = lcm(found.get(other, 1), factor // gcd(factor, row[other]))
    return {other: n for other, n in found.items() if n > 1}


def _easiest(system: System, variables: frozenset[str]) -> str:
    """The variable whose sum has fewest pieces."""

    def cost(name: str) -> tuple[int, int, str]:
        lower, upper = _bounds(system, name)
        classes = prod(_classes(system, name, variables).values())
        return classes, len(lower) * len(upper), name

    return min(variables, key=cost)


def _split(
    system: System, name: str, variables: frozenset[str], value: Polynomial
) -> Iterator[tuple[System, frozenset[str], Polynomial]]:
    """The system by residue classes of the other variables."""
    classes = _classes(system, name, variables)
    if prod(classes.values()) > _MOST_CLASSES:
        raise TooManyPiecesError(f"{prod(classes.values())} residue classes")
    for rests in product(*(range(n) for n in classes.values())):
        found, weight, names = system, value, variables
        for (other, number), rest in zip(classes.items(), rests, strict=True):
            by = {f"{other}*": number, "": rest} if rest else {f"{other}*": number}
            found, weight = _substituted(found, other, by), replaced(weight, other, by)
            names = names - {other} | {f"{other}*"}
        yield found, names, weight


def _eliminated(
    system: System,
    name: str,
    variables: frozenset[str],
    quotients: Quotients,
    value: Polynomial,
) -> Iterator[Piece]:
    """Sum over a variable between each lower and each upper bound that may be the nearest."""
    lower, upper = _bounds(system, name)
    rest = [row for row in system.least if name not in row]
    firsts = [_rounded(row, name, variables, quotients) for row in lower]
    lasts = [_rounded(row, name, variables, quotients) for row in upper]
    for a, first in enumerate(firsts):
        for b, last in enumerate(lasts):
            nearest = [
                *(_gap(other, first, at < a) for at, other in enumerate(firsts) if at != a),
                *(_gap(last, other, at < b) for at, other in enumerate(lasts) if at != b),
                _gap(first, last, False),
            ]
            total = summed(value, name, first, last)
            found = System(system.zero, (*rest, *nearest))
            yield from pieces(found, variables - {name}, quotients, total)


def _gap(low: Affine, high: Affine, strict: bool) -> Affine:
    return _added(_added(high, low, -1), {"": -int(strict)})


def _rounded(row: Affine, name: str, variables: frozenset[str], quotients: Quotients) -> Affine:
    """The least or greatest value that a sum with a variable leaves to it."""
    factor = row[name]
    rest = {k: (-n if factor > 0 else n) for k, n in row.items() if k != name}
    size = abs(factor)
    inner = {k: n // size for k, n in rest.items() if k in variables}
    assert all(n % size == 0 for k, n in rest.items() if k in variables), (row, name)
    outer = {k: n for k, n in rest.items() if k not in variables}
    if factor > 0:
        outer = _added(outer, {"": size - 1})
    return _added(inner, quotients.floor(outer, size))
