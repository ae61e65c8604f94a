"""Variants and sub-layers of a stream's layers: what all of them have alike."""

from __future__ import annotations

from collections.abc import Iterator

from mmspec.diagnostics import MmspecError
from mmspec.schema.norm import misfit
from mmspec.schema.spec import Spec
from mmspec.schema.wiring import Wiring, problem


def of_streams(spec: Spec, wiring: Wiring) -> Iterator[MmspecError]:
    """What is wrong with variants that are each right."""
    for name, stream in spec.streams.items():
        feeding = (one.of for one in stream.every if one.word == "feed_forward")
        every = [kind.feed_forward.model_dump() for kind in feeding]
        asked = {(keys["experts"], keys["balance"]) for keys in every if "balance" in keys}
        if len(asked) > 1:
            message = (
                f"the layers of stream `{name}` route by several numbers of experts or balances"
            )
            at = "streams", name, "variants" if stream.variants else "block"
            yield problem(spec, "MM403", message, *at, help="give all of them the same")
        yield from _keys_of(spec, name)


def _keys_of(spec: Spec, name: str) -> Iterator[MmspecError]:
    """Norms of keys that do not go with the width of the stream which these are of."""
    for one in spec.streams[name].every:
        if not one.norm_keys:
            continue
        wrong = misfit(one.of.norm, spec.streams[one.cross].width)
        if wrong is not None:
            at = spec.written("streams", name, *one.at, "norm_keys")
            found = wrong.diagnostic
            message = f"keys from stream `{one.cross}`: {found.message}"
            yield problem(spec, "MM330", message, *at, help=found.help or "")
