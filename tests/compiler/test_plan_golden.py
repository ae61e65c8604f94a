"""The Plans of all shipped specs, as text: a change of lowering shows here, line by line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mmspec.compiler import driver

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / "specs").glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_plan(name: str, golden: Callable[[str, str], None]) -> None:
    plan = driver.run(ROOT / "specs" / f"{name}.yaml", "lower")
    golden(f"plans/{name}.txt", driver.show(plan))


def test_no_golden_plan_is_left_over() -> None:
    kept = sorted(path.stem for path in (ROOT / "tests" / "golden" / "plans").iterdir())
    assert kept == NAMES
