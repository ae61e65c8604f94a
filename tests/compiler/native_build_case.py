"""A machine on which native code was never compiled, and compilers made up for tests of that."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from native_case import check, inputs
from test_parts_sparse import pattern

from mmspec.compiler.runtime import native, native_build, sparse_plan

SOURCE = Path(native.__file__).with_name("native.cpp")
COMPILERS = [name for name in ("g++", "clang++") if shutil.which(name)]
KNOWN = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
compiles = pytest.mark.skipif(not (COMPILERS and KNOWN), reason="no compiler, or no AVX2")
known = pytest.mark.skipif(not KNOWN, reason="no AVX2")
COPY = 'while [ "$1" != -o ]; do shift; done; cp {code} "$2"'
"""What a compiler does that gives at once what the real one made."""


def here() -> dict[str, str]:
    """The environment of a process that finds this package."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


def compiler(folder: Path, *lines: str) -> Path:
    """A compiler that counts how often it is called, and then does what the lines say."""
    script = folder / "compiler"
    script.write_text("\n".join(["#!/bin/sh", f'echo "$@" >> {folder}/calls', *lines, ""]))
    script.chmod(0o755)
    return script


def count(folder: Path) -> int:
    calls = folder / "calls"
    return len(calls.read_text().splitlines()) if calls.exists() else 0


def files(folder: Path) -> list[Path]:
    """What is kept, but for how fast it was and what failed."""
    kept = folder / "cache" / "native"
    return sorted(file for file in kept.iterdir() if file.suffix != ".json")


def right(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention is, however it is computed."""
    monkeypatch.setattr(native, "_LEAST", 0)
    monkeypatch.setattr(sparse_plan, "_MARGIN", 1e9)
    q, k = torch.arange(70)[:, None], torch.arange(83)
    seen = ((q - k).abs() < 20) & (q != 7)
    check(inputs((70, 83)), seen, (pattern(seen, 16), ()))


def again() -> object:
    """The library as another process finds it."""
    native_build.library.cache_clear()
    return native_build.library()
