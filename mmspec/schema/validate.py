"""Document -> Spec: pydantic's errors become diagnostics at the user's line."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from mmspec.diagnostics import MmspecError
from mmspec.expressions import dimension
from mmspec.schema.check import check
from mmspec.schema.mistakes import diagnostics
from mmspec.schema.spec import Spec
from mmspec.schema.wiring import resolve
from mmspec.text import Document


def validate(document: Document) -> Spec:
    """Validate a document's data; raise one MmspecError holding every problem found."""
    data = _frozen(document.data)
    try:
        spec = Spec.model_validate(data, context={"dims": _dims(data)})
    except ValidationError as error:
        raise MmspecError(diagnostics(error, document)) from None
    spec.attach(document)
    check(spec, resolve(spec))
    return spec


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
