"""A spec of a `config.json`: drafted by the family that it names, written with comments."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mmspec.diagnostics import Diagnostic, MmspecError, suggest
from mmspec.families.draft import written
from mmspec.families.family import Family
from mmspec.families.settings import Settings
from mmspec.families.table import FAMILIES, named

SETTINGS: Final = "config.json"


@dataclass(frozen=True, slots=True)
class Imported:
    """A spec as text."""

    text: str
    family: str
    rest: Mapping[str, Any]
    """Settings that it leaves out, which its last lines name."""


def imported(path: str | os.PathLike[str], name: str) -> Imported:
    """The spec of a folder with a `config.json`, or of such a file.

    Raises MmspecError MM622 where there is none, MM623 where its family is not known, MM626 with
    each setting that the language has no word for.
    """
    file = Path(path) / SETTINGS if Path(path).is_dir() else Path(path)
    given = read(file)
    kind = named(given)
    if kind is None:
        raise unusable(file, "names no `model_type`", f"there is {', '.join(FAMILIES)}")
    family, settings = known(kind), Settings(given)
    made = family.draft(settings)
    if settings.problems:
        raise MmspecError(settings.problems)
    classes = given.get("architectures")
    model = str(classes[0] if isinstance(classes, list) and classes else kind)
    about = f"{re.sub(r'[^A-Za-z0-9_]', '', model)} of transformers, by its {SETTINGS}"
    rest = settings.rest()
    if classes and not model.endswith(family.architecture):
        rest["architectures"] = classes  # its head is another, or none
    return Imported(written(made, name, about, rest), kind, rest)


def read(path: Path) -> dict[str, Any]:
    """What a `config.json` says; raises MM622."""
    found = read_json(path)
    if not isinstance(found, dict):
        raise unusable(path, "holds no settings", "it is a JSON object")
    return found


def read_json(path: Path) -> Any:
    """What a file of JSON holds; raises MM622."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise unusable(path, "is not there", "") from None
    except OSError as error:
        reason = (error.strerror or "failed").lower()
        raise unusable(path, f"cannot be read: {reason}", "") from None
    except (ValueError, RecursionError):
        raise unusable(path, "is no JSON, or damaged", "fetch or write it again") from None


def unusable(path: Path, what: str, advice: str) -> MmspecError:
    """MM622: something of a checkpoint cannot be used."""
    return MmspecError(Diagnostic("MM622", f"{path} {what}", help=advice))


def known(kind: str) -> Family:
    """A family by its type; raises MmspecError MM623."""
    if kind in FAMILIES:
        return FAMILIES[kind]
    close = suggest(kind, FAMILIES)
    advice = f"did you mean `{close}`? " if close else ""
    raise MmspecError(
        Diagnostic("MM623", f"no family `{kind}`", help=f"{advice}there is {', '.join(FAMILIES)}")
    )
