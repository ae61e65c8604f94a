"""The ways that attention by tiles may go, each forced; and the attention that a model asks for."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final
from warnings import catch_warnings, simplefilter

import torch
from torch import Tensor

from mmspec.compiler.runtime import native
from mmspec.verify.lab import lab
from mmspec.verify.lab.case import Case
from mmspec.verify.lab.site import Site, sites, view
from mmspec.verify.subject import Subject

Results = tuple[Tensor, Tensor, Tensor, Tensor]
"""What attention gave, and the gradients of queries, keys and values."""


@dataclass(frozen=True, slots=True)
class Way:
    """How attention is computed.

    ours: whether by kernels of mmspec, which are held to one rounding of each result.
    """

    name: str
    dtypes: tuple[torch.dtype, ...]
    ours: bool = False

    def absent(self) -> str | None:
        """Why there is none of it on this machine; None: there is."""
        return _ABSENT.get(self.name, lambda: None)()


_HALVES = torch.bfloat16, torch.float16
WAYS: Final = (
    Way("dense", (torch.float32, *_HALVES)),
    Way("calls", (torch.float32, *_HALVES)),
    Way("native", (torch.float32, *_HALVES), ours=True),
    Way("triton", (torch.float32, torch.float16), ours=True),
)
"""One dense call, calls of torch's kernel on tiles, native code, and the package's kernels."""


_PATIENCE = 120.0
"""Seconds that a compiler of native code is waited for."""


def _no_native() -> str | None:
    from mmspec.compiler.runtime import native_build

    if os.environ.get("MMSPEC_NATIVE") == "0":
        return "MMSPEC_NATIVE=0"
    try:
        with _replaced(native_build, "_WAIT", _PATIENCE):
            return None if native_build.library() is not None else "there is none here"
    except RuntimeError as error:
        return str(error).splitlines()[0]


def _no_triton() -> str | None:
    if torch.cuda.is_available():
        return "kernels are interpreted where there is no GPU"
    if find_spec("triton") is None:
        return "triton is not installed"
    from triton import language  # type: ignore[import-untyped,unused-ignore]

    if type(language.sum).__name__ != "InterpretedFunction":
        return "triton was loaded to compile before"
    return None


_ABSENT: Final[dict[str, Callable[[], str | None]]] = {"native": _no_native, "triton": _no_triton}


@dataclass(frozen=True, slots=True)
class Asked:
    """An attention that a model asked for, on the way from a projection to what takes the result.

    sizes: of queries, keys and values; first: its first query head among those of the site.
    """

    site: Site
    first: int
    sizes: tuple[torch.Size, torch.Size, torch.Size]
    pattern: tuple[str, tuple[int, ...]]
    module: ModuleType
    valid_bk: Tensor | None
    spans: tuple[Tensor | None, Tensor | None]
    relative: tuple[Tensor | None, Tensor | None]
    scale: float
    sink_h: Tensor | None

    @property
    def heads(self) -> int:
        """Of queries."""
        return self.sizes[0][1]

    def rest(self, scale: float | None = None) -> tuple[Any, ...]:
        """What `sparse_attention` takes beside queries, keys and values."""
        table, place = self.relative
        relative = None if table is None else table.detach().float(), place
        sink = None if self.sink_h is None else self.sink_h.detach().float()
        factor = self.scale if scale is None else scale
        return self.pattern, self.valid_bk, self.spans, relative, factor, sink

    def seen(self, subject: Subject, case: Case) -> Tensor:
        """Who sees whom by the reference: bool [B, H, Tq, Tk]; what is padded sees nothing."""
        q, k = self.sizes[0], self.sizes[1]
        found = torch.zeros(q[0], q[1], q[2], k[2], dtype=torch.bool)
        for sample in range(q[0]):
            told = view(subject, case, self.site, sample)
            rows, columns = told.queries.nonzero()[:, 0], told.keys.nonzero()[:, 0]
            own = told.seen[self.first : self.first + self.heads]
            found[sample][:, rows[:, None], columns] = own
        return found

    def added(self) -> Tensor | float:
        """What is added to scores, one pair at a time: [H, Tq, Tk]."""
        table_ho, place_t = self.relative
        if table_ho is None:
            return 0.0
        most, tokens = table_ho.shape[1] // 2, self.sizes[0][2]
        place = torch.arange(tokens) if place_t is None else place_t.long()
        apart = place[:, None] - place[None, :]
        there = (apart.abs() <= most) & (place[:, None] >= 0) & (place[None, :] >= 0)
        column = torch.where(there, apart + most, 0)
        return table_ho.detach().double()[:, column] * there


def by_tiles(subject: Subject) -> Subject:
    """The subject with a package that passes over tiles: its own where it does, else as compiled
    with `--backend tiles`.
    """
    if "tiled" not in subject.kept:
        found = subject
        if "runtime/sparse.py" not in subject.package.files and subject.given is None:
            from mmspec.compiler.emit.emit import emit

            found = replace(subject, given=emit(subject.plan, subject.spec, "tiles"))
        subject.kept["tiled"] = found
    kept: Subject = subject.kept["tiled"]
    return kept


def has_tiles(subject: Subject) -> bool:
    """Whether any attention of the subject can pass over tiles."""
    return "runtime/sparse.py" in by_tiles(subject).package.files


class _Enough(Exception):
    """So much was asked for as was wanted."""


def asked(subject: Subject, case: Case, most: int | None = None) -> list[Asked]:
    """What attention by tiles a model is asked for when a case is run, in order.

    most: after so many the run ends.
    """
    model = lab.model(subject, case)
    root = type(model).__module__.rpartition(".")[0]
    modules = [module for name, module in sys.modules.items() if name.startswith(f"{root}.")]
    sparse = sys.modules[f"{root}.runtime.sparse"]
    found: list[Asked] = []
    now: list[tuple[Site, int]] = []
    true = sparse.sparse_attention

    def spy(q: Tensor, k: Tensor, v: Tensor, pattern: Any, *rest: Any, **named: Any) -> Tensor:
        y: Tensor = true(q, k, v, pattern, *rest, **named)
        if now:
            site, since = now[-1]
            first = sum(one.heads for one in found[since:])
            sizes = q.shape, k.shape, v.shape
            told = _told(rest, named, q.shape[-1])
            found.append(Asked(site, first, sizes, (pattern[0], tuple(pattern[1])), sparse, **told))
            if len(found) == most:
                raise _Enough
        return y

    with ExitStack() as stack:
        for module in modules:
            if getattr(module, "sparse_attention", None) is true:
                stack.enter_context(_replaced(module, "sparse_attention", spy))
        for site in sites(subject):
            part = lab.part(model, site.projection)
            stack.callback(part.register_forward_hook(_entering(now, site, found)).remove)
            part = lab.part(model, site.output)
            stack.callback(part.register_forward_pre_hook(lambda *_: now.clear()).remove)
        with suppress(_Enough):
            lab.run(subject, case, targets=False)
    return [one for one in found if 0 not in (*one.sizes[0], *one.sizes[1])]


def _entering(now: list[tuple[Site, int]], site: Site, found: list[Asked]) -> Callable[..., None]:
    def note(*_: Any) -> None:
        now[:] = [(site, len(found))]

    return note


def _told(rest: Sequence[Any], named: dict[str, Any], width: int) -> dict[str, Any]:
    """The arguments of `sparse_attention` after the pattern, those left out by their defaults."""
    order = "valid_bk", "spans", "relative", "scale", "sink_h"
    nothing = None, (None, None), (None, None), None, None
    given = dict(zip(order, nothing, strict=True)) | dict(zip(order, rest, strict=False)) | named
    return given if given["scale"] is not None else given | {"scale": width**-0.5}


@contextmanager
def _replaced(module: ModuleType, name: str, value: Any) -> Generator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def attend(way: Way, subject: Subject, one: Asked, tensors: Sequence[Tensor]) -> Results | None:
    """What a way gives of queries, keys and values, and for a gradient; None: it went another.

    tensors: those three, and the gradient of the output.
    """
    if way.name == "triton":
        return _by_kernels(subject, one, tensors)
    if way.name == "native" and max(one.sizes[0][3], one.sizes[2][3]) > native.WIDEST:
        return None
    taken: set[str] = set()
    module, price = one.module, 0.0 if way.name == "dense" else math.inf
    paced = lambda *_: (price, way.name == "native")  # noqa: E731 - what is patched is a function
    with ExitStack() as stack:
        stack.enter_context(_replaced(module, "paced", paced))
        for name in ("_dense", "_attended"):
            stack.enter_context(_replaced(module, name, _noting(getattr(module, name), taken)))
        leaves = [x.detach().requires_grad_() for x in tensors[:3]]
        y = module.sparse_attention(*leaves, *one.rest())
        dq, dk, dv = torch.autograd.grad(y, leaves, tensors[3], allow_unused=True)
    if taken - {way.name}:
        return None
    return y.detach(), dq, dk, dv


def _noting(function: Callable[..., Any], taken: set[str]) -> Callable[..., Any]:
    """The same, which notes by which plan it goes."""

    def call(*given: Any) -> Any:
        plan = given[1] if function.__name__ == "_dense" else given[2]
        native = type(plan).__name__ == "Groups"
        taken.add("native" if native else "dense" if plan.dense else "calls")
        return function(*given)

    return call


def _by_kernels(subject: Subject, one: Asked, tensors: Sequence[Tensor]) -> Results:
    """By the kernels of the package, interpreted."""
    from mmspec.compiler.load import load_kernels

    pattern, valid, spans, relative, scale, sink = one.rest()
    (name, lengths), module = pattern, one.module
    q, k, v, g = tensors
    rest = valid, *spans, name, list(lengths), scale, *relative
    with _interpreting():
        load_kernels(subject.package)
        y, total = module._attend_on_cuda(q, k, v, *rest, sink)
        return y, *module._backward_on_cuda(g, [q, k, v], [y, total], *rest)


def interpret() -> None:
    """Load triton so that it interprets kernels, where nobody loaded it yet and there is no GPU."""
    if "triton" in sys.modules or torch.cuda.is_available() or find_spec("triton") is None:
        return
    with _interpreting():
        import_module("triton")  # what is loaded once stays as it was loaded


@contextmanager
def _interpreting() -> Generator[None]:
    """Whatever triton is told to compile meanwhile is interpreted later."""
    before = os.environ.get("TRITON_INTERPRET")
    os.environ["TRITON_INTERPRET"] = "1"
    try:
        with catch_warnings():
            simplefilter("ignore", RuntimeWarning)  # numpy's, of lanes that a mask hides
            yield
    finally:
        if before is None:
            del os.environ["TRITON_INTERPRET"]
        else:
            os.environ["TRITON_INTERPRET"] = before
