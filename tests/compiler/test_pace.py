"""The price of dense attention beside native code: measured once, kept, and what it decides."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from native_case import inputs, installed, there
from test_sparse_groups import shown
from torch.utils.flop_counter import FlopCounterMode

from mmspec.compiler.runtime import native_build, pace
from mmspec.compiler.runtime.pace import Pace, paced
from mmspec.compiler.runtime.sparse import sparse_attention
from mmspec.compiler.runtime.sparse_groups import Groups
from mmspec.compiler.runtime.sparse_plan import chosen

SLOW, FAST = Pace(3.0, 2.0), Pace(0.1, 0.2)
"""Dense attention, beside what is assumed."""


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where measurements are kept, nothing so far; each is that of slow dense attention."""
    monkeypatch.setattr(native_build, "library", SimpleNamespace)
    monkeypatch.setattr(pace, "stem", lambda: "code")
    monkeypatch.setenv("MMSPEC_CACHE", str(tmp_path))
    monkeypatch.setattr(pace, "_measured", lambda _: SLOW)
    pace.KNOWN.clear()
    yield tmp_path / "native"
    pace.KNOWN.clear()


def measured_as(found: Pace, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes out from now on where it is measured, in what would be another process."""
    monkeypatch.setattr(pace, "_measured", lambda _: found)
    pace.KNOWN.clear()


def test_it_is_measured_once_for_each_type(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pace.pace(False) == SLOW
    measured_as(FAST, monkeypatch)
    assert pace.pace(False) == SLOW and pace.pace(True) == FAST
    assert len(list(kept.iterdir())) == 2


DAMAGED = {
    "empty": "",
    "half": "{",
    "a list": "[]",
    "one number": '{"forward": 1.0}',
    "words": '{"forward": "1.5", "training": 1.5}',
    "digits without end": '{"forward": 1' + "0" * 400 + ', "training": 1.5}',
    "more digits": '{"forward": 1' + "0" * 9000 + ', "training": 1.5}',
    "beyond all numbers": '{"forward": 1e999, "training": 1.5}',
    "no number": '{"forward": NaN, "training": 1.5}',
    "deep": "[" * 40_000,
    "long": '{"forward": 1.5, "training": 1.5}' + " " * 100_000,
    "escape codes": '{"forward": 1.5, "training": "\\u001b[2J"}',
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_measured_again(
    kept: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    pace.pace(False)
    (file,) = kept.iterdir()
    file.write_text(text)
    measured_as(FAST, monkeypatch)
    assert pace.pace(False) == FAST
    assert json.loads(file.read_text()) == FAST._asdict()


@pytest.mark.parametrize("forward", [0.0, -1.0, 1e9, float("nan")])
def test_what_cannot_be_is_measured_again(
    kept: Path, monkeypatch: pytest.MonkeyPatch, forward: float
) -> None:
    measured_as(Pace(forward, 1.0), monkeypatch)
    pace.pace(False)
    measured_as(FAST, monkeypatch)
    assert pace.pace(False) == FAST


def test_a_folder_that_cannot_be_written_is_no_error(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMSPEC_CACHE", os.devnull)
    assert pace.pace(False) == SLOW
    assert not kept.exists()


def test_what_others_could_have_written_is_measured_again(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace.pace(False)
    (file,) = kept.iterdir()
    file.chmod(0o666)
    measured_as(FAST, monkeypatch)
    assert pace.pace(False) == FAST
    assert file.stat().st_mode & 0o777 == 0o600
    file.unlink()
    os.mkfifo(file)
    measured_as(SLOW, monkeypatch)
    assert pace.pace(False) == SLOW
    measured_as(FAST, monkeypatch)
    assert pace.pace(False) == SLOW


def test_without_native_code_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_build, "library", lambda: None)
    q = torch.empty(1, 8, 1024, 64)
    assert paced((q, q), training=True) == (1.0, False)
    half = q.bfloat16()
    assert paced((half, half), training=False) == (1.0, False)
    assert paced((half, half), training=True) == (0.85, False)


@pytest.mark.parametrize("training", [False, True])
def test_each_kind_of_work_has_its_price(kept: Path, training: bool) -> None:
    q = torch.empty(1, 8, 1024, 64)
    rate, by_native = paced((q, q), training)
    assert by_native and rate == pytest.approx(1.14 * SLOW[training])


def test_where_dense_attention_is_fast_little_is_left_to_native_code() -> None:
    name = installed("window(before=255)")
    sizes = 8, 1024, 1024, 64
    assert isinstance(chosen(name, (1024,), sizes, SLOW.forward, True), Groups)
    assert chosen(name, (1024,), sizes, FAST.forward, True).dense
    everything = installed("full")
    assert chosen(everything, (1024,), sizes, 1.0, True).dense
    assert isinstance(chosen(everything, (1024,), sizes, SLOW.forward, True), Groups)


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(("value", "dense"), [("0", True), ("1", False)])
def test_a_way_can_be_forced(value: str, dense: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMSPEC_TILES", value)
    for text, length in (("window(before=9)", 4096), ("full", 64), ("full", 4096)):
        q = torch.empty(1, 8, length, 64)
        plan = chosen(installed(text), (length,), (8, length, length, 64), *paced((q, q), False))
        assert plan.dense is dense


@pytest.mark.parametrize("tokens", [64, 128, 320, 512])
def test_what_is_measured_sees_everything(tokens: int) -> None:
    groups = pace.everything(tokens)
    assert shown(groups, tokens).eq(1).all()
    assert groups.pairs == tokens * tokens and groups.met == tokens * tokens // 64


@pytest.fixture
def measurable(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is native code, and nothing is known of its pace in this process."""
    there(monkeypatch)
    pace.KNOWN.clear()


@pytest.mark.parametrize("half", [False, True])
def test_a_measurement_says_what_can_be(measurable: None, half: bool) -> None:
    found = pace._measured(torch.bfloat16 if half else torch.float32)
    assert all(0.1 < rate < 8 for rate in found), found


def test_no_caller_sees_a_measurement(measurable: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what counts operations, nor a seed, nor the number of threads."""
    monkeypatch.setattr(pace, "_read", lambda _: None)
    name, (q, k, v, _) = installed("window(before=99)"), inputs((512, 512), heads=(8, 8))
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    counts = []
    for _ in range(2):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            sparse_attention(q, k, v, (name, (512,)))
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] > 0
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
