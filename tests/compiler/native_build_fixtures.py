"""Fixtures of tests of compiling native code: a plugin of those."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from native_build_case import COPY, SOURCE, compiler

from mmspec import private
from mmspec.compiler.runtime import native_build


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One on which nothing was compiled yet, and nothing said; no compiler outlives the test."""
    monkeypatch.setenv("MMSPEC_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MMSPEC_NATIVE", raising=False)
    monkeypatch.setattr(private, "_SAID", set())
    monkeypatch.setattr(native_build, "_WAIT", 100.0)
    monkeypatch.setattr(native_build, "_SOON", 90.0)
    running: list[subprocess.Popen[bytes]] = []
    monkeypatch.setattr(native_build, "_RUNNING", running)
    native_build.library.cache_clear()
    yield
    native_build.library.cache_clear()
    for child in running:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


@pytest.fixture(scope="session")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the compiler makes of the source."""
    path = tmp_path_factory.mktemp("code") / "native.so"
    command = [*native_build._compiler(), *native_build._FLAGS, "-o", str(path), str(SOURCE)]
    subprocess.run(command, check=True)
    return path


@pytest.fixture
def copying(tmp_path: Path, code: Path, machine: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a compiler counts its calls that gives at once what the real one made."""
    monkeypatch.setenv("CXX", str(compiler(tmp_path, COPY.format(code=code))))
    return tmp_path
