"""Triton's interpreter does some things at each call, or step, that are as well done once."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import triton.language as tl
from triton.language import core
from triton.runtime import interpreter


def _asks_for_both() -> tuple[Any, Any]:
    """A function whose module knows both that hold functions: in these they are replaced."""
    return tl, core


def patch_once() -> None:
    """It puts functions of its own into the language, for good, and knows numpy's types."""
    asked: Any = interpreter._get_np_dtype
    known = cache(asked)

    def of(kind: Any) -> Any:
        return known(kind.scalar) if type(kind.scalar) is core.dtype else asked(kind)

    interpreter._get_np_dtype = of
    patch: Any = interpreter._patch_lang
    patch(_asks_for_both)
    nothing: Any = interpreter._LangPatchScope
    interpreter._patch_lang = lambda _: nothing()


def watch_overflows(watched: bool) -> None:
    """Whether each sum of integers is looked at, which takes a third, or only what comes of it."""
    builder: Any = interpreter.interpreter_builder
    builder.options = replace(builder.options, sanitize_overflow=watched)
