"""Choices of warps and stages, with a kernel and a clock that are made up."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from mmspec import private
from mmspec.compiler.runtime import tuning
from mmspec.compiler.runtime.tuning import Config

Q, K, V = torch.zeros(1, 2, 70, 24), torch.zeros(1, 2, 130, 24), torch.zeros(1, 2, 130, 40)
OWN = Config(4, 2)


class OutOfResources(Exception):
    """What triton raises for a configuration that asks for too much."""


@dataclass(eq=False)
class Kernel:
    """Notes how it was launched; refuses some configurations."""

    log: list[Config]
    cache_key: str = "source"
    error: type[Exception] = OutOfResources
    refused: tuple[Config, ...] = ()

    def __getitem__(self, grid: tuple[int, int]) -> Callable[..., None]:
        assert grid == (3, 2)

        def launch(*_: Any, num_warps: int, num_stages: int, HAS_VALID: bool) -> None:
            config = Config(num_warps, num_stages)
            if config in self.refused:
                raise self.error
            self.log.append(config)

        return launch


@dataclass
class Clock:
    """Says the milliseconds of the last launch: 5 where nothing is said."""

    log: list[Config] = field(default_factory=list)
    times: dict[Config, float] = field(default_factory=dict)
    asked: int = 0

    def __call__(self, launch: Callable[[], object]) -> float:
        launch()
        self.asked += 1
        return self.times.get(self.log[-1], 5.0)

    def used(self, kernel: Kernel, q: torch.Tensor = Q, valid: bool = False) -> Config:
        """What a launch used in the end."""
        tuning.tuned(kernel, (3, 2), OWN.num_warps)(q, K, V, 7, HAS_VALID=valid)
        return self.log[-1]

    def forget(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As in a new process."""
        monkeypatch.setattr(tuning, "_known", {})
        self.asked = 0


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Tuning is on, its cache empty."""
    found = Clock()
    monkeypatch.setenv("MMSPEC_CACHE", str(tmp_path))
    monkeypatch.setattr(tuning, "_enabled", True)
    monkeypatch.setattr(tuning, "timer", found)
    found.forget(monkeypatch)
    return found


def kept() -> list[Path]:
    folder = private.cache("tuning")
    assert folder is not None
    return sorted(folder.iterdir())


def test_off_the_package_s_own_is_used_and_nothing_is_measured(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.times[Config(8, 3)] = 1.0
    monkeypatch.setattr(tuning, "_enabled", None)
    for value, used, asked in ((None, OWN, 0), ("0", OWN, 0), ("1", Config(8, 3), 8)):
        if value is not None:
            monkeypatch.setenv("MMSPEC_AUTOTUNE", value)
        assert clock.used(Kernel(clock.log)) == used
        assert clock.asked == asked
    tuning.autotune(False)
    assert clock.used(Kernel(clock.log)) == OWN


def test_the_fastest_is_used_and_kept_for_later_processes(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.times = {OWN: 3.0, Config(8, 3): 2.0, Config(8, 4): 2.5}
    assert clock.used(Kernel(clock.log)) == Config(8, 3)
    assert clock.asked == 8
    assert clock.used(Kernel(clock.log)) == Config(8, 3)
    clock.forget(monkeypatch)
    clock.times = {OWN: 1.0}
    assert clock.used(Kernel(clock.log)) == Config(8, 3)
    assert clock.asked == 0
    (file,) = kept()
    assert json.loads(file.read_text())["num_stages"] == 3


def test_a_little_faster_is_noise(clock: Clock) -> None:
    clock.times = {OWN: 3.0, Config(8, 3): 2.95}
    assert clock.used(Kernel(clock.log)) == OWN


def test_what_the_device_refuses_is_left_out(clock: Clock) -> None:
    clock.times = {Config(8, 4): 1.0, Config(4, 3): 2.0}
    assert clock.used(Kernel(clock.log, refused=(Config(8, 4),))) == Config(4, 3)


def test_a_wrong_launch_is_not_taken_for_a_refusal(clock: Clock) -> None:
    with pytest.raises(ZeroDivisionError):
        clock.used(Kernel(clock.log, error=ZeroDivisionError, refused=(Config(8, 4),)))
    assert not kept()


def test_each_kernel_dtype_width_and_length_has_its_own(clock: Clock) -> None:
    kernel = Kernel(clock.log)
    clock.used(kernel)
    others: list[tuple[Kernel, torch.Tensor, bool]] = [
        (Kernel(clock.log, cache_key="other source"), Q, False),
        (kernel, Q.half(), False),
        (kernel, Q[..., :16], False),
        (kernel, torch.zeros(1, 2, 129, 24), False),
        (kernel, Q, True),
    ]
    for place, other in enumerate(others):
        clock.used(*other)
        assert len(kept()) == place + 2
    files = len(kept())
    clock.used(kernel, torch.zeros(3, 5, 128, 24))  # of 65 to 128 queries, as before
    assert len(kept()) == files


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"key": 1, "num_warps": 8, "num_stages": 4}',
        '{"key": KEY, "num_warps": 7, "num_stages": 4}',
        '{"key": KEY, "num_warps": "8", "num_stages": 4}',
        '{"key": KEY, "num_warps": [8], "num_stages": 4}',
        '{"key": KEY, "num_warps": 8.0, "num_stages": 4}',
        '{"key": KEY, "num_warps": 1e999, "num_stages": 4}',
        '{"key": KEY, "num_warps": 8, "num_stages": true}',
        '{"key": KEY, "num_warps": 8, "num_stages": 1' + "0" * 9000 + "}",
        '{"key": KEY, "num_warps": 8, "num_stages": 4}' + " " * 100_000,
        "[" * 40_000,
        '{"key": KEY, "num_stages": 4}',
        '{"key": KEYS, "num_warps": 8, "num_stages": 4}',
        "\udcff",
    ],
)
def test_damaged_and_foreign_files_are_measured_anew(
    text: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.times = {OWN: 3.0, Config(8, 3): 2.0}
    clock.used(Kernel(clock.log))
    (file,) = kept()
    key = json.loads(file.read_text())["key"]
    text = text.replace("KEYS", json.dumps(key | {"device": "another"}))
    file.write_bytes(text.replace("KEY", json.dumps(key)).encode(errors="surrogateescape"))
    clock.forget(monkeypatch)
    assert clock.used(Kernel(clock.log)) == Config(8, 3)
    assert clock.asked == 8
    assert json.loads(file.read_text())["key"] == key


def test_no_cache_can_be_written(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    clock.times = {Config(8, 1): 1.0}
    monkeypatch.setenv("MMSPEC_CACHE", os.devnull)
    assert clock.used(Kernel(clock.log)) == Config(8, 1)
    clock.forget(monkeypatch)
    assert clock.used(Kernel(clock.log)) == Config(8, 1)
    assert clock.asked == 8


def test_a_failed_write_leaves_no_half_file(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(Path, "replace", fails)
    clock.used(Kernel(clock.log))
    assert not kept()
