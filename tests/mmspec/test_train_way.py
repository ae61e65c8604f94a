"""A run goes on by the way that its attention took, whatever the process would choose now."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from training_job import Made, Output, Quiet, Toy, settings, spec

from mmspec.compiler.runtime import native_build, pace
from mmspec.compiler.runtime.pace import Pace
from mmspec.train import checkpoint, loop, record, way
from mmspec.train.job import Job

SLOW, FAST = Pace(3.0, 2.0), Pace(0.5, 0.25)
TAKEN: list[tuple[bool, Pace | None]] = []
"""Whether there was native code, and its price, at each forward of the model."""


class Asks(Toy):
    """Asks what an attention that is large enough asks."""

    def forward(self, *arguments: Any, **given: Any) -> Output:
        """The toy's, by the way that is taken."""
        native = native_build.library() is not None
        TAKEN.append((native, pace.pace(False) if native else None))
        return super().forward(*arguments, **given)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """A machine whose native code and price are what is said; each run is another process."""
    chosen = SimpleNamespace(native=True, price=SLOW)

    def found(patience: float) -> object:
        if not chosen.native:
            raise native_build._Absent("no compiler")
        return object()

    monkeypatch.setenv("MMSPEC_NATIVE", "")
    monkeypatch.setattr(native_build, "_found", found)
    monkeypatch.setattr(pace, "_kept_or_measured", lambda half: chosen.price)
    before = dict(pace.KNOWN)
    yield chosen
    pace.KNOWN.clear()
    pace.KNOWN.update(before)
    native_build.library.cache_clear()


def train(out: Path, model: type[Toy], resume: bool = False, steps: int = 4) -> Quiet:
    """In what would be another process."""
    TAKEN.clear()
    pace.KNOWN.clear()
    native_build.library.cache_clear()
    listener = Quiet()
    loop.train(Job(model, spec(), Made(), settings(out, steps=steps)), listener, resume)
    return listener


@pytest.mark.parametrize("native", [True, False])
def test_the_way_is_kept_and_taken_again(
    native: bool, machine: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.native = native
    train(tmp_path / "run", Asks)
    first = (native, SLOW if native else None)
    assert set(TAKEN) == {first}
    machine.native, machine.price = True, FAST
    monkeypatch.setenv("MMSPEC_NATIVE", "0" if native else "1")
    listener = train(tmp_path / "run", Asks, resume=True, steps=6)
    assert len(listener.rows) == 2 and set(TAKEN) == {first}
    assert not [note for note in listener.notes if "native" in note]
    assert os.environ["MMSPEC_NATIVE"] == ("0" if native else "1")
    assert dict(pace.KNOWN) == {}


def test_what_cannot_be_had_is_said(machine: SimpleNamespace, tmp_path: Path) -> None:
    train(tmp_path / "run", Asks)
    machine.native = False
    listener = train(tmp_path / "run", Asks, resume=True, steps=6)
    assert set(TAKEN) == {(False, None)}
    assert [note for note in listener.notes if "begun with native code" in note]


def test_where_no_attention_asked_nothing_is_fixed(
    machine: SimpleNamespace, tmp_path: Path
) -> None:
    train(tmp_path / "run", Toy)
    stored = checkpoint.load(tmp_path / "run")
    assert stored is not None and stored["attention"] == {}
    machine.price = FAST
    train(tmp_path / "run", Asks, resume=True, steps=6)
    assert set(TAKEN) == {(True, FAST)}


@pytest.mark.parametrize(
    "stored",
    [
        None,
        [],
        "native",
        {"native": True},
        {"native": 1, "prices": {}},
        {"native": True, "prices": {"False": [1.0]}},
        {"native": True, "prices": {"False": [1.0, "2"]}},
        {"native": True, "prices": {"False": [1.0, -2.0]}},
        {"native": True, "prices": {"False": [1.0, float("nan")]}},
        {"native": True, "prices": []},
    ],
)
def test_what_is_no_way(stored: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        way.read(stored)


def test_another_torch_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path / "run", Toy)
    now = record._versions()
    monkeypatch.setattr(record, "_versions", lambda: now | {"torch": "9.9", "pillow": "0"})
    notes = train(tmp_path / "run", Toy, resume=True, steps=6).notes
    assert [note for note in notes if f"begun with torch {now['torch']}, and goes on" in note]
    assert len([note for note in notes if "was begun with" in note]) == 1
