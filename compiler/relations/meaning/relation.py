"""A mask between two segments as a set of pairs of integers, decided by isl for every length.

relation(mask, query, key) -> Relation; what it answers is proved, not sampled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from mmspec.compiler.relations.counting.counting import Count, count
from mmspec.compiler.relations.isl import isl
from mmspec.compiler.relations.meaning.definitions import meaning
from mmspec.compiler.relations.meaning.formula import Formula, as_isl, as_source, negate
from mmspec.compiler.relations.meaning.geometry import Geometry, Lengths
from mmspec.compiler.relations.syntax import function
from mmspec.expressions.mask import Mask

__all__ = ["Field", "Relation", "Rows", "receptive_field", "relation"]


@dataclass(frozen=True, eq=False)
class Relation:
    """Who sees whom: pairs of coordinates, {[query] -> [key]}, lengths as parameters.

    visible and hidden: maps whose difference is every pair of tokens there is. `hidden` may hold
    more pairs, of tokens beyond the segments' ends: a formula holds there too, and a tile that
    sees all of it needs no look at the ends.
    """

    query: Geometry
    key: Geometry
    visible: isl.Map
    hidden: isl.Map
    formula: Formula | None = None
    turned: bool = False
    """Whether it maps keys to the queries that see them: what is called `query` here is `k`."""

    def __str__(self) -> str:
        """As isl writes it."""
        return str(self.visible)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The lengths it depends on."""
        return tuple(dict.fromkeys((*self.query.symbols, *self.key.symbols)))

    @property
    def names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Variables of the coordinates of both sides: `q` of queries and `k` of keys."""
        letters = "kq" if self.turned else "qk"
        return self.query.names(letters[0]), self.key.names(letters[1])

    @property
    def tile_names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Variables of the indices of tiles of both sides: `i` of queries and `j` of keys."""
        letters = "ji" if self.turned else "ij"
        return self.query.names(letters[0]), self.key.names(letters[1])

    def predicate(self) -> str:
        """Source that says whether a pair of tokens within their segments is visible."""
        if self.formula is not None:
            return as_source(self.formula)
        return str(self._contains[1])

    @cached_property
    def _contains(self) -> tuple[Callable[..., bool], str]:
        names = (*self.names[0], *self.names[1], *self.symbols)
        return function(names, self.visible.wrap())

    def contains(self, query: int, key: int, lengths: Lengths) -> bool:
        """Whether a query, by its index among all tokens of its segment, sees a key."""
        if not 0 <= query < self.query.tokens(lengths) or not 0 <= key < self.key.tokens(lengths):
            return False
        places = (*self.query.coordinates(query, lengths), *self.key.coordinates(key, lengths))
        return bool(self._contains[0](*places, *(lengths[name] for name in self.symbols)))

    def inverse(self) -> Relation:
        """Keys and the queries that see them."""
        maps = self.visible.reverse(), self.hidden.reverse()
        return Relation(self.key, self.query, *maps, self.formula, not self.turned)

    def flat(self) -> Relation:
        """The same pairs by index among all tokens; lengths of rows must be known."""
        sides = _flatten(self.query), _flatten(self.key)
        visible = self.visible.apply_domain(sides[0]).apply_range(sides[1])
        query, key = self.query.flat(), self.key.flat()
        hidden = _tokens(query, key).subtract(visible)
        return Relation(query, key, visible.coalesce(), hidden.coalesce())

    def compose(self, other: Relation) -> Relation:
        """What a query sees of what the keys see: this layer first, counted from the output."""
        assert self.key.axes == other.query.axes, (self.key, other.query)
        visible = self.visible.apply_range(other.visible).coalesce()
        hidden = _tokens(self.query, other.key).subtract(visible).coalesce()
        return Relation(self.query, other.key, visible, hidden)

    def everything(self) -> Relation:
        """All pairs of tokens there are, between the same segments."""
        pairs = _tokens(self.query, self.key)
        return Relation(self.query, self.key, pairs, pairs.subtract(pairs), turned=self.turned)

    def within(self, other: Relation) -> bool:
        """Whether the other shows all that this one shows, at every length."""
        return bool(self.visible.is_subset(other.visible))

    def disjoint(self, other: Relation) -> bool:
        """Whether no pair is visible in both, at any length."""
        return bool(self.visible.is_disjoint(other.visible))

    def same(self, other: Relation) -> bool:
        """Whether both show the same pairs at every length."""
        return bool(self.visible.is_equal(other.visible))

    def is_empty(self) -> bool:
        """Whether nothing is visible at any length."""
        return bool(self.visible.is_empty())

    def is_causal(self) -> bool:
        """Whether no query sees a later token of its own segment, at any length."""
        assert self.query.axes == self.key.axes, "an order within one segment"
        later = isl.Map.lex_lt(self.visible.get_space().domain())
        return bool(self.visible.is_disjoint(later))

    def rows_without_key(self) -> Rows:
        """The queries that see no key."""
        tokens = _inside(self.query, "q", self.symbols)
        return Rows(self.query, tokens.subtract(self.visible.domain()).coalesce(), self.symbols)

    def reach(self) -> tuple[int | None, int | None]:
        """How far back and ahead the index of a key may be; None: as far as the segment goes."""
        sides = _flatten(self.query), _flatten(self.key)
        moved = self.visible.apply_domain(sides[0]).apply_range(sides[1])
        apart = moved.deltas().project_out_all_params()
        if apart.is_empty():
            return 0, 0
        return _opposite(_bound(apart.dim_min_val(0))), _bound(apart.dim_max_val(0))

    @cached_property
    def _count(self) -> Count:
        return count(self.visible.wrap(), self.symbols)

    def count(self, most: int | None = None) -> Count:
        """Visible pairs, exactly, as a closed form in the lengths.

        Raises TooManyPiecesError; most: pieces that are sought.
        """
        return self._count if most is None else count(self.visible.wrap(), self.symbols, most)

    def keys_of_query(self) -> Count:
        """Visible keys of one query, in its coordinates and the lengths."""
        kept = self.visible.get_space().dim(isl.dim_type.in_)
        names = self.names[0]
        rows = self.visible.move_dims(
            isl.dim_type.param, len(self.symbols), isl.dim_type.in_, 0, kept
        ).range()
        for place, name in enumerate(names, len(self.symbols)):
            rows = rows.set_dim_name(isl.dim_type.param, place, name)
        return count(rows, (*self.symbols, *names))

    def most_keys(self) -> int | None:
        """Keys that one query sees at most; None where that grows with the lengths.

        Exact but where the keys of a query are no affine function of its place (in grids): there
        it is the number of places relative to a query that are ever visible, so maybe more.
        """
        most = self.keys_of_query().greatest()
        if most is not None or len(self.query.axes) != len(self.key.axes):
            return most
        apart = self.visible.deltas().project_out_all_params()
        return count(apart, ()).at({}) if apart.is_bounded() else None

    def density(self, lengths: Lengths) -> Fraction:
        """Visible pairs as a share of all; 0 where there are none."""
        pairs = self.query.tokens(lengths) * self.key.tokens(lengths)
        return Fraction(self.count().at(lengths), pairs) if pairs else Fraction(0)


@dataclass(frozen=True, eq=False)
class Rows:
    """A set of tokens at each length."""

    geometry: Geometry
    tokens: isl.Set
    symbols: tuple[str, ...]

    def __str__(self) -> str:
        """As isl writes it."""
        return str(self.tokens)

    def is_empty(self, least: int = 1) -> bool:
        """Whether there is none, at every length from `least` up."""
        facts = " and ".join(f"{name} >= {least}" for name in self.symbols) or "true"
        long = isl.Set(f"[{', '.join(self.symbols)}] -> {{ : {facts} }}")
        return bool(self.tokens.intersect_params(long).is_empty())

    def count(self) -> Count:
        """How many there are."""
        return count(self.tokens, self.symbols)


@dataclass(frozen=True, slots=True)
class Field:
    """What a token depends on after some layers: `most_keys`, and how far back and ahead."""

    relation: Relation
    keys: int | None
    before: int | None
    after: int | None


def relation(mask: Mask, query: Geometry, key: Geometry) -> Relation:
    """The relation of a mask without tables. Raises MeaninglessError."""
    formula = meaning(mask, query, key)
    tokens = _tokens(query, key)
    names = (*query.symbols, *key.symbols)
    symbols = f"[{', '.join(dict.fromkeys(names))}]"
    sides = f"[{', '.join(query.names('q'))}] -> [{', '.join(key.names('k'))}]"
    shown, unseen = (
        isl.Map(f"{symbols} -> {{ {sides} : {as_isl(f)} }}") for f in (formula, negate(formula))
    )
    return Relation(query, key, shown.intersect(tokens).coalesce(), unseen.coalesce(), formula)


def receptive_field(one: Relation, layers: int) -> Field:
    """What a token depends on after some equal layers, at every length."""
    assert layers >= 1, layers
    found = one
    for _ in range(layers - 1):
        further = found.compose(one)
        if further.same(found):
            break
        found = further
    before, after = found.reach()
    return Field(found, found.most_keys(), before, after)


def _inside(geometry: Geometry, letter: str, symbols: tuple[str, ...] = ()) -> isl.Set:
    """Its tokens."""
    names = geometry.names(letter)
    facts = (f"0 <= {n} < {axis.size}" for n, axis in zip(names, geometry.axes, strict=True))
    parameters = ", ".join(dict.fromkeys((*symbols, *geometry.symbols)))
    return isl.Set(f"[{parameters}] -> {{ [{', '.join(names)}] : {' and '.join(facts)} }}")


def _tokens(query: Geometry, key: Geometry) -> isl.Map:
    """All pairs of tokens."""
    symbols = (*query.symbols, *key.symbols)
    sides = _inside(query, "q", symbols), _inside(key, "k", symbols)
    return isl.Map.from_domain_and_range(*sides)


def _flatten(geometry: Geometry) -> isl.Map:
    strides = geometry.strides()
    assert strides is not None, geometry
    names = geometry.names("t")
    index = " + ".join(f"{n} * {name}" for n, name in zip(strides, names, strict=True))
    return isl.Map(f"{{ [{', '.join(names)}] -> [{index}] }}")


def _bound(value: isl.Val) -> int | None:
    return value.to_python() if value.is_int() else None


def _opposite(value: int | None) -> int | None:
    return None if value is None else -value
