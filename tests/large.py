"""Which part of a large set of cases a run of the suite tries."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def is_deep() -> bool:
    """Whether it is `make deep`, which tries all of them."""
    return os.environ.get("MMSPEC_PROFILE") == "deep"


def part(all_of_them: Sequence[T], few: Sequence[T]) -> Sequence[T]:
    """A few, or in `make deep` all; mark the test `deep`, so that it is run there."""
    return all_of_them if is_deep() else few
