"""Which way attention on a CPU takes here, told without torch and without compiling anything.

The rule is that of `compiler/runtime/native_build.py`: native code needs a processor on which torch
uses AVX2 or more, and a C++ compiler. Whether the compiler succeeds is not tried.
"""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path
from typing import Final

__all__ = ["forced", "has_native_code"]

_INSTRUCTIONS: Final = frozenset({"avx2", "fma"})
"""Without which torch takes its code for older processors."""

_FACTS: Final = Path("/proc/cpuinfo")


def has_native_code() -> bool:
    """Whether attention here can take native code, unless compiling it fails."""
    if os.environ.get("MMSPEC_NATIVE") == "0":
        return False
    return _has_wide_vectors() and _has_compiler()


def forced() -> bool | None:
    """Whether MMSPEC_TILES asks to pass over tiles always, or never; None: prices decide."""
    return {"0": False, "1": True}.get(os.environ.get("MMSPEC_TILES", ""))


def _has_wide_vectors() -> bool:
    """As torch has it, which can be told to make do with less."""
    if os.environ.get("ATEN_CPU_CAPABILITY") == "default":
        return False
    try:
        lines = _FACTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return _INSTRUCTIONS <= set(flags.partition(":")[2].split())


def _has_compiler() -> bool:
    """The command in $CXX, or one of the usual names."""
    named = os.environ.get("CXX")
    try:
        commands = shlex.split(named)[:1] if named else ["c++", "g++", "clang++"]
    except ValueError:  # a quote that does not end
        return False
    return any(shutil.which(command) for command in commands)
