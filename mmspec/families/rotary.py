"""How queries and keys turn, as settings of both generations of transformers say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmspec.families.settings import Key, Settings, plain


def rotary(
    s: Settings, base: str = "rope_theta", partial: str = "partial_rotary_factor"
) -> list[Key]:
    """The key `rotary` of a stream, where it is not the default.

    base, partial: what settings of old, without `rope_parameters`, call these.
    """
    given = s.get("rope_parameters")
    if not isinstance(given, Mapping):
        old = {"rope_theta": s.get(base), "partial_rotary_factor": s.get(partial)}
        scaling = s.get("rope_scaling", {})
        given = {**(scaling if isinstance(scaling, Mapping) else {}), **old}
        source = base
    else:
        s.unused(base, partial, "rope_scaling")
        source = "rope_parameters"
    found = turning(s, given)
    return [Key("rotary", f"{{{found}}}", source)] if found else []


def turning(s: Settings, given: Mapping[str, Any]) -> str:
    """What is said of turns: base, share and scaling; empty where they are the default."""
    base = float(given.get("rope_theta") or 10000.0)
    share = float(given.get("partial_rotary_factor") or 1.0)
    found = [
        *([f"base: {plain(base)}"] if base != 10000 else []),
        *([f"partial: {plain(share)}"] if share != 1 else []),
    ]
    kind = given.get("rope_type") or given.get("type") or "default"
    factor = plain(float(given.get("factor") or 1.0))
    if kind == "linear":
        found.append(f"scaling: {{kind: linear, factor: {factor}}}")
    elif kind == "llama3":
        low, high, length = (
            given.get(name, default)
            for name, default in (
                ("low_freq_factor", 1.0),
                ("high_freq_factor", 4.0),
                ("original_max_position_embeddings", 8192),
            )
        )
        rest = f"length: {length}, low: {plain(float(low))}, high: {plain(float(high))}"
        found.append(f"scaling: {{kind: llama3, factor: {factor}, {rest}}}")
    elif kind != "default":
        s.refuse("rope_type", kind, "there is default, linear and llama3")
    return ", ".join(found)
