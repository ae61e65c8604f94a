"""What a run is told: checked once, stored beside it, compared when it is resumed."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, get_type_hints

from mmspec.diagnostics import Diagnostic, MmspecError

_FREE: Final = frozenset(
    "out save_every eval_every threads device spec data init allow_outside".split()
)
"""Settings that a resumed run may change: where and how it computes, when it saves and looks.

What the spec and the data hold is compared itself.
"""
_END: Final = frozenset({"steps", "seconds"})
"""What ends a run; a resumed one may go on for longer."""

DEFAULT_STEPS: Final = 1000
PRECISIONS: Final = ("float32", "bf16")
"""Of the forward pass in training: weights, gradients and evaluation stay in float32."""
_TIMED_WARMUP: Final = 50
_LONGEST_WARMUP: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a run; `steps` or `seconds` (of CPU time) end it."""

    spec: str
    data: str
    out: str
    steps: int | None = None
    seconds: float | None = None
    batch: int = 64
    lr: float = 1e-3
    warmup: int | None = None
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0
    eval_every: int = 0
    save_every: int = 0
    drop_modality: float = 0.2
    augment: bool = False
    allow_outside: bool = False
    threads: int = 1
    device: str = "cpu"
    init: str | None = None
    accumulate: int = 1
    precision: str = "float32"

    @property
    def warmup_steps(self) -> int:
        """Steps of linear warm-up: as given, else a tenth of the run, at most 100."""
        if self.warmup is not None:
            return self.warmup
        if self.seconds is not None:
            return _TIMED_WARMUP
        return min(_LONGEST_WARMUP, self.last_step // 10)

    @property
    def last_step(self) -> int:
        """The number of steps, where it is given or defaulted."""
        return self.steps if self.steps is not None else DEFAULT_STEPS

    def settled(self) -> Settings:
        """The same with the defaults that depend on others written out, and data found anywhere."""
        path = os.path.abspath(self.data)
        init = os.path.abspath(self.init) if self.init is not None else None
        return replace(
            self,
            steps=self.last_step if self.seconds is None else None,
            warmup=self.warmup_steps,
            data=path if os.path.isfile(self.data) else self.data,
            init=init,
        )

    def stored(self) -> dict[str, Any]:
        """Plain data, without the folder, which may be moved."""
        return {name: value for name, value in asdict(self).items() if name != "out"}

    @classmethod
    def restored(cls, stored: object, out: str) -> Settings:
        """From plain data; raises ValueError where it is not what `stored` gives, or MM610.

        A setting that an older mmspec did not know is at its default.
        """
        kinds = get_type_hints(cls)
        known = kinds.keys() - {"out"}
        if not isinstance(stored, dict) or not {"spec", "data"} <= stored.keys() <= known:
            raise ValueError("its settings are not those of a run")
        for name, value in stored.items():
            if not is_of(value, kinds[name]):
                raise ValueError(f"{name} is {value!r}")
        return check(cls(**stored, out=out))

    def differences(self, stored: Settings) -> list[str]:
        """`lr: 0.001 here, 0.01 in the run`, for each setting that a run cannot go on with."""
        mine, other = asdict(self), asdict(stored)
        found = [
            f"{name}: {mine[name]} here, {other[name]} in the run"
            for name in mine
            if name not in _FREE | _END and mine[name] != other[name]
        ]
        if self.seconds is not None and stored.seconds is None:
            found.append("the run ends by steps: raise those")
        return found + [
            f"{name}: {mine[name]:g} here, {other[name]:g} in the run, and it can only be raised"
            for name in sorted(_END)
            if None not in (mine[name], other[name]) and mine[name] < other[name]
        ]


def is_of(value: object, kind: Any) -> bool:
    """Whether a value read from JSON has a setting's type; whole numbers are floats too."""
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    return isinstance(value, kind) or (isinstance(value, int) and isinstance(0.5, kind))


_LOWEST: Final[dict[str, float]] = {
    "steps": 1,
    "batch": 1,
    "accumulate": 1,
    "warmup": 0,
    "weight_decay": 0,
    "eval_every": 0,
    "save_every": 0,
    "threads": 1,
}
_POSITIVE: Final = ("seconds", "lr", "clip")


def check(settings: Settings) -> Settings:
    """The settings, or MmspecError MM610 with each one that is out of its range."""
    problems = [text for item in fields(Settings) if (text := _problem(settings, item.name))]
    if settings.steps is not None and settings.seconds is not None:
        problems.append("steps and seconds cannot both end a run; give one of them")
    if problems:
        raise MmspecError([Diagnostic("MM610", problem) for problem in problems])
    return settings


def _problem(settings: Settings, name: str) -> str:
    """What is wrong with one setting, or nothing."""
    value, option = getattr(settings, name), f"--{name.replace('_', '-')}"
    if name == "precision" and value not in PRECISIONS:
        return f"{option} is {' or '.join(PRECISIONS)}, not {value}"
    if not isinstance(value, int | float):
        return ""
    if not math.isfinite(value):
        return f"{option} is a finite number, not {value}"
    if name in _LOWEST and value < _LOWEST[name]:
        return f"{option} is at least {_LOWEST[name]:g}, not {value}"
    if name in _POSITIVE and value <= 0:
        return f"{option} is above 0, not {value}"
    if name == "drop_modality" and not 0 <= value < 1:
        return f"{option} is a share from 0 to below 1, not {value}"
    if name == "seed" and not 0 <= value < 2**63:
        return f"{option} is from 0 to 2**63 - 1, not {value}"
    return ""
