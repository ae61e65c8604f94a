"""The way that attention takes on a CPU: kept with a run, so that it goes on to the bit.

Native code and torch's kernels round differently, and which of them computes what follows from
whether native code is there and from a price that was measured. Both stay as they are for as long
as a process lasts; a run that is taken up sets them to what they were.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from mmspec.compiler.runtime import native_build, pace
from mmspec.compiler.runtime.pace import Pace

_WISH: Final = "MMSPEC_NATIVE"
_GONE: Final = (
    "the run was begun with native code for attention, which is not to be had here: "
    "from now on its numbers may differ in their last bits"
)


class Way(NamedTuple):
    """Whether by native code, and what dense attention costs beside it: of bfloat16, of float32."""

    native: bool
    prices: dict[bool, Pace]


def used() -> dict[str, Any]:
    """What this process has chosen so far; nothing where no attention was large enough to ask."""
    if not native_build.library.cache_info().currsize:
        return {}
    prices = {str(half): list(price) for half, price in pace.KNOWN.items()}
    return {"native": native_build.library() is not None, "prices": prices}


def read(stored: object) -> Way | None:
    """From what `used` gave; raises ValueError where that is something else."""
    if stored == {} and isinstance(stored, dict):
        return None
    if not isinstance(stored, dict) or stored.keys() != {"native", "prices"}:
        raise ValueError("no way of attention")
    if not isinstance(stored["native"], bool) or not isinstance(stored["prices"], dict):
        raise ValueError("no way of attention")
    prices = {name == "True": Pace(*price) for name, price in stored["prices"].items()}
    if not all(isinstance(x, float) for price in prices.values() for x in price):
        raise ValueError("no price of attention")
    if not all(price.credible for price in prices.values()):
        raise ValueError("no price of attention")
    return Way(stored["native"], prices)


@contextmanager
def taken(way: Way | None) -> Generator[str]:
    """Take a way again, whatever the environment wishes; gives a line where that can't be."""
    if way is None:
        yield ""
        return
    wish, known = os.environ.get(_WISH), dict(pace.KNOWN)
    _set(None if way.native else "0", way.prices)
    try:
        yield _GONE if way.native and native_build.library() is None else ""
    finally:
        _set(wish, known)


def _set(wish: str | None, prices: dict[bool, Pace]) -> None:
    if wish is None:
        os.environ.pop(_WISH, None)
    else:
        os.environ[_WISH] = wish
    native_build.library.cache_clear()
    pace.KNOWN.clear()
    pace.KNOWN.update(prices)
