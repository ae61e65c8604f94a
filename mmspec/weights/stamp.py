"""Files of weights that say which spec they are of, and are loaded into no other."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any, Final

import safetensors.torch
from torch import Tensor

from mmspec import text
from mmspec.diagnostics import Diagnostic, MmspecError
from mmspec.schema.resolved import dump, resolved
from mmspec.schema.spec import Spec
from mmspec.version import __version__
from mmspec.weights import files

_APART: Final = frozenset(("name", "about", "dims", "init", "objectives", "claims"))
"""What a spec says that weights do not hang on."""


def packed(state: Mapping[str, Tensor], spec: Spec) -> bytes:
    """A file of weights; its metadata have the spec, its digest, and the version of mmspec."""
    return safetensors.torch.save(_apart(state), {"format": "pt", **metadata(spec)})


def metadata(spec: Spec) -> dict[str, str]:
    """What a file says of the spec that it is of."""
    return {
        "mmspec": __version__,
        "spec": dump(spec),
        "spec_sha256": digest(resolved(spec)),
    }


def foreign(state: Mapping[str, Tensor]) -> bytes:
    """A file of weights by the names of transformers, which asks for its `format`."""
    return safetensors.torch.save(_apart(state), {"format": "pt"})


def _apart(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors that share no memory, as the format wants them."""
    return {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}


def digest(data: Mapping[str, Any]) -> str:
    """Of what weights hang on in a resolved spec."""
    kept = {key: value for key, value in data.items() if key not in _APART}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def load_weights(
    spec: Spec | str | os.PathLike[str], path: str | os.PathLike[str]
) -> dict[str, Tensor]:
    """The weights of a file that mmspec wrote, for `load_state_dict` of the spec's model.

    spec: it, or the path of its file. path: what `mmspec weights --out` or `mmspec train` wrote.
    Raises MmspecError MM622 where the file cannot be read, MM625 where it is of another spec, by
    the first key that differs.
    """
    if not isinstance(spec, Spec):
        from mmspec import api

        spec = api.read(spec)
    checkpoint = files.opened(path)
    check(checkpoint, spec)
    return checkpoint.read()


def check(checkpoint: files.Checkpoint, spec: Spec) -> None:
    """Raise MM625 where a checkpoint says that it is of another spec, or of none."""
    stamp = checkpoint.metadata.get("spec_sha256")
    if stamp is None:
        advice = f"`mmspec weights SPEC {checkpoint.path} --out FILE` maps it onto a spec"
        what = "does not say which spec it is of"
        raise MmspecError(Diagnostic("MM625", f"{checkpoint.path} {what}", help=advice))
    mine = resolved(spec)
    if stamp == digest(mine):
        return
    other = _parsed(checkpoint.metadata.get("spec", ""))
    where = _first(other, mine)
    what = f"is of the spec `{other.get('name', '?')}`, not of `{spec.name}`"
    told = f": {where}" if where else ""
    advice = f"`mmspec weights SPEC {checkpoint.path} --out FILE` carries over what fits"
    raise MmspecError(Diagnostic("MM625", f"{checkpoint.path} {what}{told}", help=advice))


def _parsed(content: str) -> dict[str, Any]:
    """A spec in metadata; empty where it cannot be read."""
    try:
        data = text.parse(content, "metadata").data
    except MmspecError:
        return {}
    return data if isinstance(data, dict) else {}


def _first(there: Any, here: Any, at: tuple[str, ...] = ()) -> str:
    """The first place in which two specs differ, with what stands there; empty where none does."""
    if not (isinstance(there, dict) and isinstance(here, dict)):
        if there == here:
            return ""
        return f"{'.'.join(at)} is {_shown(there)} there and {_shown(here)} here"
    for key in dict.fromkeys((*here, *there)):
        if at or key not in _APART:
            found = _first(there.get(key), here.get(key), (*at, str(key)))
            if found:
                return found
    return ""


def _shown(value: Any) -> str:
    """What stands somewhere, in a few words."""
    if value is None:
        return "not said"
    plain = json.dumps(value, ensure_ascii=False)
    return plain if len(plain) <= 40 else f"{plain[:39]}…"
