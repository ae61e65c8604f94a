"""What turns raw values into a model's inputs, and its outputs into names: as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmspec.data.dataset import Known
from mmspec.data.encode import audio, tokens
from mmspec.data.encode.names import Names
from mmspec.data.encode.table import Codes
from mmspec.schema.columns import Categories
from mmspec.schema.modality import Image, Modality, Table, Tokens, Video
from mmspec.schema.resolved import plain
from mmspec.schema.spec import Spec

Labels = Mapping[str, tuple[str, ...]]
Tables = Mapping[str, Codes]


def inputs(spec: Spec, tables: Tables) -> dict[str, Any]:
    """Of each modality what the spec says of its values, and how a raw value becomes them."""
    return {
        name: plain(modality) | {"encoding": _encoding(modality, tables.get(name, {}))}
        for name, modality in spec.modalities.items()
    }


def outputs(spec: Spec, labels: Labels) -> dict[str, Any]:
    """Of each head what the spec says of it; of a classifier the names of its classes by id.

    `labels` is null where the ids stood in the data.
    """
    found: dict[str, Any] = {}
    for name, head in spec.heads.items():
        found[name] = plain(head)
        if head.labels:
            known = labels.get(name)
            found[name]["labels"] = None if known is None else list(known)
    return found


def known(spec: Spec, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Known:
    """The names that `inputs` and `outputs` say; raises KeyError, TypeError where they do not."""
    tables: dict[str, Codes] = {}
    for name in spec.modalities:
        labels, columns = inputs[name]["encoding"].get("labels"), inputs[name].get("columns", {})
        if labels is not None:
            tables[name] = {
                key: Names(_tuple(found), columns[key]["categories"])
                for key, found in labels.items()
            }
    classes = {
        name: Names(_tuple(said["labels"]), said["classes"])
        for name, said in outputs.items()
        if "labels" in said
    }
    return Known(tables, classes)


def _tuple(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(map(str, names))


def _encoding(modality: Modality, codes: Codes) -> dict[str, Any]:
    if isinstance(modality, Tokens):
        return {"tokenizer": "utf-8 bytes" if modality.vocab >= tokens.BYTES else "ids"}
    if isinstance(modality, Image | Video):
        return {"values": [-1, 1], "transparent": "white", "resize": "stretch"}
    if isinstance(modality, Table):
        return {"labels": _categories(modality, codes)}
    return audio.settings() if modality.of_sound else {"values": "as they are"}


def _categories(modality: Table, codes: Codes) -> dict[str, Any]:
    """The names of the codes of each column of categories; null where the codes stood there."""
    found: dict[str, Any] = {}
    for name, column in modality.columns.items():
        if isinstance(column, Categories):
            known = codes[name].names if name in codes else None
            found[name] = None if known is None else list(known)
    return found
