"""Settings of a run as a file has them: YAML, a line each, named like the options."""

from __future__ import annotations

import os
from typing import Any, get_type_hints

from mmspec import text
from mmspec.diagnostics import Diagnostic, MmspecError, suggest
from mmspec.text import Document
from mmspec.train.settings import Settings, is_of


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The settings of a file by name; null is as if nothing were said.

    Raises MmspecError MM0xx where it is no mapping in YAML, MM610 at each line that is no setting.
    """
    document = text.read(path)
    kinds = {name.replace("_", "-"): kind for name, kind in get_type_hints(Settings).items()}
    problems = [
        found
        for key, value in document.data.items()
        if (found := _problem(document, key, value, kinds)) is not None
    ]
    if problems:
        raise MmspecError(problems)
    given = {key: value for key, value in document.data.items() if value is not None}
    return {key.replace("-", "_"): value for key, value in given.items()}


def _problem(document: Document, key: str, value: Any, kinds: dict[str, Any]) -> Diagnostic | None:
    """What is wrong with a line, or nothing."""
    if key not in kinds:
        close = suggest(key, kinds)
        advice = f"did you mean `{close}`?" if close else f"there is {', '.join(kinds)}"
        return Diagnostic("MM610", f"no setting `{key}`", document.key_span(key), help=advice)
    if value is None or is_of(value, kinds[key]):
        return None
    kind = getattr(kinds[key], "__args__", (kinds[key],))[0]
    words = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    what = f"{key} is {words[kind]}, not {value!r}"
    return Diagnostic("MM610", what, document.span(key))
