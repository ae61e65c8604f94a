"""A limit on what isl may do: some questions about integers have answers that fill books."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from mmspec.compiler.relations.isl import isl

__all__ = ["TooHardError", "limited"]


class TooHardError(ValueError):
    """isl used up what it may do; nothing is known of the answer."""


@contextmanager
def limited(operations: int) -> Generator[None]:
    """At most so many operations of isl (a million take some seconds). Raises TooHardError.

    Within another limit that one stays, and says when it is used up.
    """
    context = isl.DEFAULT_CONTEXT
    if context.get_max_operations():
        yield
        return
    context.reset_operations()
    context.set_max_operations(operations)
    try:
        yield
    except (isl.Error, TypeError) as error:  # a number that was not found is None
        if _used_up():
            raise TooHardError(f"more than {operations:,} operations") from error
        raise
    finally:
        context.set_max_operations(0)
        context.reset_operations()


def _used_up() -> bool:
    """Whether isl refuses to do more: its first complaint may be of another kind."""
    try:
        isl.Set("{ [x] : exists y : x = 2 y and 0 <= x < 9 }").is_empty()
    except isl.Error as error:
        return "maximal number of operations" in str(error)
    return False
