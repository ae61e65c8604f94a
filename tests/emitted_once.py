"""A package that several tests of a process ask for is emitted once: the same plan, spec, backend.

That emitting is a function of these, in any process, is what
`tests/models/test_emitted.py::test_the_same_spec_gives_the_same_bytes_in_another_process` shows.
"""

from __future__ import annotations

from collections.abc import Callable

from mmspec.compiler import ir
from mmspec.compiler.emit import emit as emitter
from mmspec.compiler.emit.package import Package
from mmspec.compiler.emit.sparse import Backend
from mmspec.schema.resolved import dump
from mmspec.schema.spec import Spec

_emit = emitter.emit
_kept: dict[tuple[ir.Plan, str, str, Backend], Package] = {}
_allowed = True


def install() -> None:
    """Let everyone who asks for the emitter have this one."""
    emitter.emit = emit


def allow() -> None:
    """What was emitted before may be given again."""
    global _allowed
    _allowed = True


def anew(call: Callable[..., object]) -> Callable[..., object]:
    """The same call, after which nothing that was emitted before is given, until it is allowed."""

    def called(*given: object, **named: object) -> object:
        global _allowed
        _allowed = False
        return call(*given, **named)

    return called


def emit(plan: ir.Plan, spec: Spec, backend: Backend = "auto") -> Package:
    """The package of a plan, by its value."""
    if not _allowed:
        return _emit(plan, spec, backend)
    key = plan, repr(plan), dump(spec), backend
    if key not in _kept:
        _kept[key] = _emit(plan, spec, backend)
    return _kept[key]
