"""Document -> Spec: pydantic's errors become diagnostics at the user's line."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from pydantic import ValidationError

from mmspec.diagnostics import Diagnostic, MmspecError, shortened
from mmspec.expressions import dimension
from mmspec.schema.check import check
from mmspec.schema.inheritance import inherited
from mmspec.schema.mistakes import diagnostics
from mmspec.schema.spec import Spec
from mmspec.schema.wiring import resolve
from mmspec.text import Document

_MOST_PARTS: Final = 2000
"""So many modalities, streams, heads, dims or claims a spec may have."""


def validate(document: Document) -> Spec:
    """Validate a document's data; raise one MmspecError holding every problem found."""
    _check_counts(document)
    data = _frozen(inherited(document))
    try:
        spec = Spec.model_validate(data, context={"dims": _dims(data)})
    except ValidationError as error:
        raise MmspecError(diagnostics(error, document, data)) from None
    spec.attach(document)
    check(spec, resolve(spec))
    return spec


def _check_counts(document: Document) -> None:
    """Raise MM013 where a spec has more parts than any model."""
    for key, parts in document.data.items():
        if isinstance(parts, dict | list) and len(parts) > _MOST_PARTS:
            message = f"{len(parts):,} {shortened(key)}; at most {_MOST_PARTS:,} are read"
            advice = "a spec is a short text"
            raise MmspecError(Diagnostic("MM013", message, document.key_span(key), key, advice))


def _frozen(value: Any) -> Any:
    """Lists become tuples, as strict models want them."""
    if isinstance(value, list | tuple):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return value


def _dims(data: Any) -> Mapping[str, int]:
    """The spec's dims, each from those before it; what is wrong with others the schema says."""
    dims = data.get("dims", {}) if isinstance(data, dict) else {}
    known: dict[str, int] = {}
    for name, value in dims.items() if isinstance(dims, dict) else ():
        if isinstance(value, int | str) and not isinstance(value, bool):
            with suppress(MmspecError):
                known[name] = dimension.evaluate(value, known)
    return known
