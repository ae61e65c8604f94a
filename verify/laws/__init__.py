"""The laws that every emitted model owes its spec, in order: `LAWS`."""

from __future__ import annotations

from mmspec.verify.laws.law import Law, Search

__all__ = ["LAWS", "Law", "Search"]

LAWS: tuple[Law, ...] = ()
