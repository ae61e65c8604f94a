"""A fault: one thing done wrong, where it is planted, and the laws that must catch it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from mmspec.compiler import ir
from mmspec.compiler.emit.emit import emit
from mmspec.compiler.emit.package import Package
from mmspec.verify.subject import Subject

Plant = Callable[[Subject], Subject]


@dataclass(frozen=True, slots=True)
class Fault:
    """`plant` makes a sound subject of the text `spec` a faulty one; ids are stable."""

    id: str
    what: str
    spec: str
    laws: tuple[str, ...]
    plant: Plant

    def subject(self) -> Subject:
        """The subject without the fault; all faults of one spec have the same."""
        return _sound(self.spec)

    def planted(self) -> Subject:
        """The subject with the fault."""
        return self.plant(self.subject())


@lru_cache(maxsize=64)
def _sound(spec: str) -> Subject:
    """The subject of a spec: what is made of it (its package) is made once."""
    return Subject.of_text(spec)


CODE = ("attention.py", "model.py")
"""Files of an emitted package in which a fault may be without saying where."""


def source(*changes: tuple[str, str], file: str = "") -> Plant:
    """Replace what regular expressions match in a file of the emitted package, or in CODE.

    Each must match.
    """

    def plant(subject: Subject) -> Subject:
        package = subject.package
        files = dict(package.files)
        for pattern, replacement in changes:
            found = 0
            for name in [file] if file else [name for name in CODE if name in files]:
                files[name], count = re.subn(pattern, replacement, files[name])
                found += count
            assert found, f"`{pattern}` is not in {file or CODE}"
        assert files != package.files, "nothing changed"
        return _with_package(subject, Package(package.name, package.class_name, files))

    return plant


def _with_package(subject: Subject, package: Package) -> Subject:
    return dataclasses.replace(subject, given=package)


def plan(change: Callable[[ir.Plan], ir.Plan]) -> Plant:
    """Emit another plan, as a fault in the lowering would."""

    def plant(subject: Subject) -> Subject:
        package = emit(change(subject.plan), subject.spec)
        assert package.files != subject.package.files, "the plan makes no difference"
        return _with_package(subject, package)

    return plant


def reckoned(change: Callable[[ir.Plan], ir.Plan]) -> Plant:
    """Let costs and claims see another plan than the one that is emitted."""

    def plant(subject: Subject) -> Subject:
        changed = change(subject.plan)
        assert changed != subject.plan, "the plan is the same"
        return dataclasses.replace(subject, plan=changed, given=subject.package)

    return plant


def read_as(old: str, new: str) -> Plant:
    """Compile another text than the one that was written, as a fault in reading it would."""

    def plant(subject: Subject) -> Subject:
        text = subject.document.text
        assert old in text, f"`{old}` is not in the spec"
        other = Subject.of_text(text.replace(old, new), path=subject.path)
        return dataclasses.replace(subject, spec=other.spec, plan=other.plan)

    return plant


def forgiving() -> Plant:
    """A validation that throws away keys that it does not know."""

    def plant(subject: Subject) -> Subject:
        document = subject.document
        return dataclasses.replace(
            subject, document=dataclasses.replace(document, data=_forgiving(document.data))
        )

    return plant


class _Forgiving(dict[str, Any]):
    """A mapping that keeps no key that it did not start with."""

    def __setitem__(self, key: str, value: Any) -> None:
        if key in self:
            super().__setitem__(key, value)

    def __deepcopy__(self, memo: Any) -> _Forgiving:
        copied: _Forgiving = _forgiving(dict(self))
        return copied


def _forgiving(value: Any) -> Any:
    if isinstance(value, dict):
        return _Forgiving({key: _forgiving(item) for key, item in value.items()})
    return value


def stacks(change: Callable[[ir.Stack], ir.Stack]) -> Callable[[ir.Plan], ir.Plan]:
    """Change every stack of a plan."""
    return nodes(lambda node: change(node) if isinstance(node, ir.Stack) else node)


def sublayers(change: Callable[[ir.Sublayer], ir.Sublayer]) -> Callable[[ir.Plan], ir.Plan]:
    """Change every sub-layer of every stack of a plan."""

    def changed(stack: ir.Stack) -> ir.Stack:
        variants = (
            dataclasses.replace(block, sublayers=tuple(map(change, block.sublayers)))
            for block in stack.variants
        )
        return dataclasses.replace(stack, variants=tuple(variants))

    return stacks(changed)


M = TypeVar("M", bound=ir.Mixer)


def mixers(kind: type[M], change: Callable[[M], M]) -> Callable[[ir.Plan], ir.Plan]:
    """Change what every sub-layer of a type computes."""

    def changed(one: ir.Sublayer) -> ir.Sublayer:
        mixer = one.mixer
        return dataclasses.replace(one, mixer=change(mixer)) if isinstance(mixer, kind) else one

    return sublayers(changed)


def nodes(change: Callable[[ir.Node], ir.Node]) -> Callable[[ir.Plan], ir.Plan]:
    """Change every node of a plan."""

    def changed(plan: ir.Plan) -> ir.Plan:
        return dataclasses.replace(plan, nodes=tuple(change(node) for node in plan.nodes))

    return changed


def sums(**given: Any) -> Callable[[ir.Plan], ir.Plan]:
    """Change what becomes of the rows of every modality; given: fields of `ir.Sum`."""

    def changed(node: ir.Node) -> ir.Node:
        if isinstance(node, ir.Embed):
            return dataclasses.replace(node, sum=dataclasses.replace(node.sum, **given))
        return node

    return nodes(changed)


def heads(change: Callable[[ir.Head], ir.Head]) -> Callable[[ir.Plan], ir.Plan]:
    """Change every head of a plan."""

    def changed(plan: ir.Plan) -> ir.Plan:
        return dataclasses.replace(plan, heads=tuple(change(head) for head in plan.heads))

    return changed


def told(change: Callable[[str], str]) -> Callable[[ir.Plan], ir.Plan]:
    """Change which tokens carry no loss, of every head that says next tokens."""

    def changed(head: ir.Head) -> ir.Head:
        if isinstance(head.loss, ir.NextToken):
            return dataclasses.replace(head, loss=ir.NextToken(change(head.loss.told)))
        return head

    return heads(changed)
