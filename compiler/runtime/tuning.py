"""Warps and stages of a kernel: the package's own, or the fastest found on this device.

Tuning is off unless the environment has MMSPEC_AUTOTUNE=1 or `autotune(True)` was called. What it
finds is kept in the cache, in tuning beside native: a file for each kernel, device, dtype, head
widths and lengths (by powers of two), and used without measuring again.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmspec import private

STAGES = 2
"""What a kernel is launched with that was not tuned."""

_WARPS = (4, 8)
_STAGES = (1, 2, 3, 4)
_MOST = 1 << 16  # bytes of what is kept
_FASTER = 0.98  # of the time before: what a configuration must be below to be taken instead

Launch = Callable[[], object]


class Config(NamedTuple):
    """How a kernel is compiled and launched."""

    num_warps: int
    num_stages: int


def median_milliseconds(launch: Launch) -> float:
    """What a launch takes on a GPU."""
    from triton.testing import do_bench  # type: ignore[import-untyped,unused-ignore]

    milliseconds: Any = do_bench(launch, warmup=10, rep=50, return_mode="median")
    return float(milliseconds)


timer: Callable[[Launch], float] = median_milliseconds
"""Measures a launch."""

_enabled: bool | None = None
_known: dict[tuple[object, ...], Config] = {}


def autotune(enabled: bool = True) -> None:
    """Tune each kernel at its first launch from now on, or no longer."""
    global _enabled
    _enabled = enabled


def is_enabled() -> bool:
    """Whether kernels are tuned."""
    return os.environ.get("MMSPEC_AUTOTUNE") == "1" if _enabled is None else _enabled


def tuned(kernel: Any, grid: tuple[int, int], warps: int) -> Callable[..., None]:
    """What launches a kernel, whose first arguments are queries, keys and values.

    warps: the package's own.
    """

    def launch(*arguments: Any, **constants: Any) -> None:
        def run(config: Config) -> None:
            kernel[grid](*arguments, **constants, **config._asdict())

        own = Config(warps, STAGES)
        if not is_enabled():
            run(own)
            return
        facts = _facts(arguments[:3], constants)
        place = (kernel, own, *facts.values())
        if place not in _known and not _capturing(arguments[0]):
            _known[place] = _chosen(kernel, facts, own, run)
        run(_known.get(place, own))

    return launch


def _facts(tensors: tuple[Tensor, ...], constants: dict[str, object]) -> dict[str, str]:
    """What a choice depends on, but for the kernel."""
    q, k, v = tensors
    device = torch.cuda.get_device_name(q.device) if q.is_cuda else str(q.device)
    lengths = [1 << max(x.shape[2] - 1, 0).bit_length() for x in (q, k)]
    return {
        "device": device,
        "dtype": str(q.dtype),
        "widths": f"{q.shape[3]} {v.shape[3]}",
        "lengths": f"{lengths[0]} {lengths[1]}",
        "constants": " ".join(f"{name}={value}" for name, value in sorted(constants.items())),
    }


def _capturing(x: Tensor) -> bool:
    """Whether launches are recorded into a graph, where none can be measured."""
    return x.is_cuda and torch.cuda.is_current_stream_capturing()


def candidates(own: Config) -> list[Config]:
    """The package's own first."""
    others = [Config(warps, stages) for warps in _WARPS for stages in _STAGES]
    return [own, *(config for config in others if config != own)]


def _chosen(
    kernel: Any, facts: dict[str, str], own: Config, run: Callable[[Config], None]
) -> Config:
    """As the cache says, or the fastest, which goes there."""
    key = {"kernel": _digest(kernel), **facts}
    found = _read(key, own)
    if found is None:
        found = _fastest(own, run)
        _write(key, found)
    return found


def _fastest(own: Config, run: Callable[[Config], None]) -> Config:
    """The package's own unless another is clearly faster; what the device refuses is left out."""
    best, least = own, timer(lambda: run(own))
    for config in candidates(own)[1:]:
        try:
            taken = timer(lambda config=config: run(config))  # type: ignore[misc]
        except Exception as error:
            if type(error).__name__ not in ("OutOfResources", "PTXASError", "CompilationError"):
                raise
            continue
        if taken < _FASTER * least:
            best, least = config, taken
    return best


def _digest(kernel: Any) -> str:
    """Of a kernel's source and of the functions that it calls."""
    known = getattr(kernel, "cache_key", None)
    text = known if isinstance(known, str) else inspect.getsource(kernel.fn)
    return hashlib.sha256(text.encode()).hexdigest()


def _file(key: dict[str, str]) -> Path | None:
    folder = private.cache("tuning")
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    return None if folder is None else folder / f"{name}.json"


def _read(key: dict[str, str], own: Config) -> Config | None:
    """A choice that was kept; none where the file is damaged or is not about this."""
    file = _file(key)
    found = None if file is None else kept(file)
    if not isinstance(found, dict) or found.get("key") != key:
        return None
    choice = [found.get(name) for name in Config._fields]
    if not all(type(number) is int for number in choice):
        return None
    return next((config for config in candidates(own) if [*config] == choice), None)


def _write(key: dict[str, str], config: Config) -> None:
    """Keep a choice where that can be done."""
    file = _file(key)
    if file is not None:
        with suppress(OSError):
            keep(file, {"key": key, **config._asdict()})


def kept(file: Path) -> Any:
    """What was kept as JSON; None where nobody did, or others could have."""
    try:
        return json.loads(private.read(file, _MOST) or b"null")
    except (ValueError, RecursionError):
        return None


def keep(file: Path, found: dict[str, Any]) -> None:
    """Write what was found as JSON, whole or not at all. Raises OSError where nobody may write."""
    with private.written(file) as fresh:
        fresh.write(json.dumps(found, indent=2).encode() + b"\n")
