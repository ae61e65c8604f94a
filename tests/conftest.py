"""What every test shares: hypothesis profiles, golden files, one thread for torch."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path

import emitted_once
import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

GOLDEN = Path(__file__).parent / "golden"
"""Where the golden files lie, by the path that a test gives."""

_COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

PROFILES = {
    "fixed": settings(_COMMON, max_examples=50, derandomize=True),
    "deep": settings(_COMMON, max_examples=2000, print_blob=True),
}
"""Hypothesis profiles; MMSPEC_PROFILE chooses one, else `fixed`: `make test` depends on no luck."""

os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-golden` rewrites what the `golden` fixture compares with."""
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files instead of comparing"
    )


def pytest_configure() -> None:
    """Load the hypothesis profile that the environment chooses."""
    for name, profile in PROFILES.items():
        settings.register_profile(name, profile)
    settings.load_profile(os.environ.get("MMSPEC_PROFILE") or "fixed")
    emitted_once.install()


def pytest_collectstart() -> None:
    """What is imported stays: the collector waits until all is."""
    gc.disable()


def pytest_collection_finish() -> None:
    """What was imported stays: the collector looks at it no more, and seldom at what is young."""
    gc.enable()
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_sessionfinish() -> None:
    """Python leaves; what it finds then it may collect."""
    gc.unfreeze()


def pytest_runtest_setup() -> None:
    """What a test has replaced is no more so in the next one."""
    emitted_once.allow()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what compares golden files, for `make golden`, and what is drawn, for `make deep`."""
    for item in items:
        if is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker("deep")
        if "golden" in getattr(item, "fixturenames", ()):
            item.add_marker("golden")


@pytest.fixture
def monkeypatch(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A test that replaces code, which may be the compiler's, has its packages emitted anew."""
    for name in ("setattr", "delattr", "setitem", "delitem"):
        setattr(monkeypatch, name, emitted_once.anew(getattr(monkeypatch, name)))
    return monkeypatch


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`golden(name, text)`: `text` must equal tests/golden/`name`, byte for byte.

    `golden(name, text, difference)`: or so far that `difference(kept, text)` has nothing to tell;
    such a text is not written either.
    """
    update = bool(request.config.getoption("--update-golden"))

    def compare(name: str, text: str, difference: Callable[[str, str], str] | None = None) -> None:
        path = GOLDEN / name
        kept = path.read_text(encoding="utf-8") if path.is_file() else None
        told = difference(kept or "", text) if difference else ""
        if update:
            if told if difference else text != kept:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            return
        advice = "if that is meant, `make golden` and read the diff"
        assert kept is not None, f"no golden file {name}: `make golden` writes it"
        assert difference or text == kept, f"{name} has changed: {advice}"
        assert not told, f"{name} has changed, {told}: {advice}"

    return compare
