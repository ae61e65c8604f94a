"""Specialises parts: one ordinary PyTorch class -> the class that one spec needs.

A request names a part and its constants. Its source is folded, what nobody reads is removed, and
nested parts become requests of their own, children first. Requests that come out alike are one
class. `finish` gives the names and the text.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import ModuleType

from mmspec.compiler.specialise.classes import Class, Specialised
from mmspec.compiler.specialise.constants import Constants
from mmspec.compiler.specialise.evaluate import NotStatic, evaluate, is_constant, literal
from mmspec.compiler.specialise.fragment import Fragment, assemble
from mmspec.compiler.specialise.inline import Inliner
from mmspec.compiler.specialise.maker import Maker
from mmspec.compiler.specialise.source import Library, Part, library


class Specialiser:
    """Collects requests; `finish` turns them into source. `reserved` names are left to others.

    constants: of the part modules, where their value is another than there. named: what the
    package calls its own.
    """

    def __init__(
        self,
        modules: Sequence[ModuleType],
        reserved: frozenset[str] = frozenset(),
        constants: Mapping[str, object] | None = None,
        named: Constants | None = None,
    ) -> None:
        self.library: Library = library(tuple(modules))
        given = constants or {}
        self.constants: Mapping[str, object] = {**dict(_literals(self.library)), **given}
        self.inliner = Inliner(self.library)
        self.classes: dict[str, Class] = {}
        self._reserved = reserved
        self.named = named or Constants()
        self._memo: dict[tuple[str, str, frozenset[str]], Class] = {}
        self._sources: dict[str, Class] = {}
        self._wanted: list[Class] = []

    def parameters(self, part: str) -> tuple[str, ...]:
        """What the constructor of a part takes."""
        init = self.library.parts[part].init
        return tuple(item.arg for item in init.args.args[1:]) if init else ()

    def request(self, part: str, constants: Mapping[str, object], owner: str) -> Specialised:
        """The specialisation of a part; `owner` is the CamelCase prefix of its name, if needed."""
        assert owner.isascii() and owner.isidentifier(), owner
        found = self.specialise(part, constants, owner)
        self._wanted.append(found)
        return found.handle

    def finish(self, uses: Iterable[str] = ()) -> Fragment:
        """Name all classes and write them out, with what they use.

        `uses`: helper functions and methods of parts that the caller's own code calls.
        """
        known = self.library, self.inliner, self._reserved
        return assemble(self._wanted, self.classes, *known, set(uses), self.named)

    def specialise(
        self,
        part: str,
        constants: Mapping[str, object],
        owner: str,
        keep: frozenset[str] = frozenset(),
    ) -> Class:
        """The class of a part with its constants; `keep` names parameters that must stay."""
        bound = self._bind(self.library.parts[part], constants)
        key = (part, repr(sorted(bound.items())), keep)
        if key not in self._memo:
            made = Maker(self, part, owner, bound, keep).make()
            made = self._sources.setdefault(f"{part}\n{made.source}", made)
            self.classes[made.id] = self._memo[key] = made
        return self._memo[key]

    def _bind(self, part: Part, constants: Mapping[str, object]) -> dict[str, object]:
        """Parameters of the constructor with their values, defaults included."""
        init = part.init
        if init is None:
            assert not constants, f"{part.name} takes no constants"
            return {}
        names = [item.arg for item in (*init.args.args, *init.args.kwonlyargs)][1:]
        plain = [item.arg for item in init.args.args]
        pairs = list(zip(plain[::-1], init.args.defaults[::-1], strict=False))
        pairs += [
            (item.arg, default)
            for item, default in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)
            if default is not None
        ]
        given = {name: evaluate(default, self.constants) for name, default in pairs}
        given.update(constants)
        wrong = set(given) ^ set(names)
        assert not wrong, f"{part.name}: {sorted(wrong)} missing or unknown"
        for name in names:
            assert is_constant(given[name]), f"{part.name}: {name} is {type(given[name])}"
        return {name: given[name] for name in names}


def _literals(known: Library) -> Iterator[tuple[str, object]]:
    for name, helper in known.helpers.items():
        node = helper.statement.node
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if value is not None:
            try:
                found = evaluate(value, {})
                literal(found)
            except NotStatic:
                continue
            if is_constant(found):
                yield name, found
