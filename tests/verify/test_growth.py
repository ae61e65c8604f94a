"""Streams that meet in a fusion: what a user waits for, by the streams and by their pairs."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial

import pytest
from rich.console import Console
from work import work

from mmspec.cli.show import as_dict
from mmspec.compiler.emit.emit import emit
from mmspec.compiler.lower.lower import lower
from mmspec.compiler.specialise.classes import Class
from mmspec.compiler.specialise.maker import Maker
from mmspec.schema.spec import Spec
from mmspec.schema.validate import validate
from mmspec.text import parse
from mmspec.verify.analyze import analyze
from mmspec.verify.tune.report import tune

FEW = 6


def gated(streams: int) -> Spec:
    """Streams of a modality each, and a stream that reads all of them."""
    names = [f"m{n}" for n in range(streams)]
    inputs = [f"  {name}: {{kind: tokens, vocab: 9, length: {{max: 16}}}}\n" for name in names]
    rest = "depth: 1, width: 8, heads: 2}\n"
    readers = [f"  {name}: {{from: {name}, {rest}" for name in names]
    readers.append(f"  joint: {{from: {{fusion: gated, of: [{', '.join(names)}]}}, {rest}")
    head = "heads:\n  y: {from: joint, kind: classifier, classes: 3}\n"
    parts = ("mmspec: 1\nname: gate\nmodalities:\n", *inputs, "streams:\n", *readers, head)
    return validate(parse("".join(parts)))


def analyzed(spec: Spec) -> None:
    """As `mmspec analyze` prints it."""
    analyze(lower(spec)).render(Console(file=io.StringIO(), width=80))


def tuned(spec: Spec) -> None:
    """As `mmspec tune` prints it."""
    tune(lower(spec), {}, native=False).render(Console(file=io.StringIO(), width=80))


@pytest.mark.parametrize(
    ("run", "most"),
    [(as_dict, 40), (analyzed, 300), (tuned, 300)],
    ids=["show", "analyze", "tune"],
)
def test_a_pair_of_streams_costs_a_few_calls(run: Callable[[Spec], object], most: int) -> None:
    """Of work in a + b * streams + c * streams², the c; it was 350, 1,700 and 1,200."""
    run(gated(2))  # imports what it needs
    specs = [gated(times * FEW) for times in (1, 2, 4)]
    one, two, four = (work(partial(run, spec)) for spec in specs)
    assert (four - 3 * two + 2 * one) / (6 * FEW**2) < most


def test_streams_that_compute_alike_are_specialised_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    make = Maker.make

    def noted(self: Maker) -> Class:
        made.append(self.part)
        return make(self)

    monkeypatch.setattr(Maker, "make", noted)
    for streams in (2, 3):
        made.clear()
        emit(lower(gated(streams)), gated(streams))
        assert sorted(set(made)) == sorted(made)
