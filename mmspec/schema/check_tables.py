"""Tables: a modality of tokens that reads another's has as many ids and as wide a reader."""

from __future__ import annotations

from collections.abc import Iterator

from mmspec.diagnostics import MmspecError
from mmspec.expressions.scanner import did_you_mean
from mmspec.schema.spec import Spec
from mmspec.schema.wiring import Wiring, problem


def table_of(spec: Spec, name: str) -> str:
    """Whose table a modality reads: its own, or that of the one which it is tied to."""
    return getattr(spec.modalities[name], "tied", None) or name


def of_modalities(spec: Spec, wiring: Wiring) -> Iterator[MmspecError]:
    """Modalities of tokens that read the table of another."""
    for name, modality in spec.modalities.items():
        owner = getattr(modality, "tied", None)
        if owner is None:
            continue
        others = [other for other, each in spec.modalities.items() if each.ids and other != name]
        other, at = spec.modalities.get(owner), ("modalities", name, "tied")
        if other is None or owner == name or not other.ids:
            message = f"`{name}` is tied to `{owner}`, which is no other modality of tokens"
            known = did_you_mean(owner, others, "modalities of tokens")
            advice = known if others else "remove `tied`"
            yield problem(spec, "MM318", message, *at, help=advice)
        elif (its := getattr(other, "tied", None)) is not None:
            message = f"`{name}` is tied to `{owner}`, which has no table: it is tied itself"
            yield problem(spec, "MM318", message, *at, help=f"write `tied: {its}`")
        elif other.ids != modality.ids:
            message = f"`{name}` has {modality.ids:,} ids, and the table of `{owner}` {other.ids:,}"
            yield problem(spec, "MM318", message, *at, help="give both one `vocab`")
        else:
            yield from _readers(spec, wiring, name, owner)


def _readers(spec: Spec, wiring: Wiring, name: str, owner: str) -> Iterator[MmspecError]:
    """What is wrong with the streams that read a tied modality, and the one that it is tied to."""
    at = "modalities", name, "tied"
    sides = {each: wiring.readers(each) for each in (name, owner)}
    widths = {spec.streams[reader].width for readers in sides.values() for reader in readers}
    if len(sides[owner]) > 1:
        message = f"`{owner}` is embedded {len(sides[owner])} times: tied to which?"
        yield problem(spec, "MM318", message, *at, help="remove `tied`")
    elif len(widths) > 1:
        message = f"streams of several widths read `{name}` and `{owner}`, whose rows are the same"
        yield problem(spec, "MM318", message, *at, help="make the widths equal, or remove `tied`")
