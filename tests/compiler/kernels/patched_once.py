"""Triton's interpreter puts its own functions into the language at each call of a function."""

from __future__ import annotations

from typing import Any

import triton.language as tl
from triton.language import core
from triton.runtime import interpreter


def _asks_for_both() -> tuple[Any, Any]:
    """A function whose module knows both that hold functions: in these they are replaced."""
    return tl, core


def patch_once() -> None:
    """Put them there once and for good: a process that only interprets saves a quarter."""
    patch: Any = interpreter._patch_lang
    patch(_asks_for_both)
    nothing: Any = interpreter._LangPatchScope
    interpreter._patch_lang = lambda _: nothing()
