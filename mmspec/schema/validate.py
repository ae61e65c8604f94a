"""Document -> Spec: pydantic's errors become diagnostics at the user's line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from mmspec.diagnostics import Diagnostic, MmspecError, suggest
from mmspec.expressions import dimension
from mmspec.schema.check import check
from mmspec.schema.spec import Spec
from mmspec.schema.wiring import resolve
from mmspec.text import Document, scalars


def validate(document: Document) -> Spec:
    """Validate a document's data; raise one MmspecError holding every problem found."""
    data = _frozen(document.data)
    try:
        spec = Spec.model_validate(data, context={"dims": _dims(data)})
    except ValidationError as error:
        raise MmspecError(tuple(_diagnostics(error, document))) from None
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
        try:
            known[name] = dimension.evaluate(value, known)
        except MmspecError:
            continue
    return known


def _walk(data: Any, loc: tuple[Any, ...]) -> tuple[Any, ...]:
    """Drop the union tags that pydantic puts in a location: keep what is in the data."""
    keys: list[Any] = []
    for step, key in enumerate(loc):
        if isinstance(data, dict) and key in data:
            data = data[key]
        elif isinstance(data, tuple | list) and isinstance(key, int) and key < len(data):
            data = data[key]
        elif step < len(loc) - 1 or isinstance(data, dict) is False or key in _TAGS:
            continue
        else:
            data = None
        keys.append(key)
    return tuple(keys)


def _diagnostics(error: ValidationError, document: Document) -> list[Diagnostic]:
    found: list[Diagnostic] = []
    for item in error.errors(include_url=False):
        keys = _walk(document.data, item["loc"])
        found.append(_diagnostic(item, keys, document))
    unique = {(d.code, d.where, d.message): d for d in found}
    return list(unique.values())


def _diagnostic(item: Any, keys: tuple[Any, ...], document: Document) -> Diagnostic:
    where = ".".join(str(key) for key in keys)
    kind, context, value = item["type"], item.get("ctx", {}), item.get("input")
    span = document.span(*keys)
    last = str(keys[-1]) if keys else ""
    if kind == "extra_forbidden":
        close = suggest(last, sorted(_vocabulary()))
        text = f"did you mean `{close}`?" if close else "remove it"
        return Diagnostic("MM101", f"unknown key `{last}`", document.key_span(*keys), where, text)
    if kind == "missing":
        return Diagnostic(
            "MM102", f"`{last}` is missing", document.span(*keys[:-1]), where, f"add `{last}: ...`"
        )
    if kind in ("union_tag_invalid", "literal_error"):
        inner = _holding(value, context.get("tag"))
        return _choice(value, context, document.span(*keys, *inner), ".".join([where, *inner]))
    if kind == "union_tag_not_found":
        tag = str(context.get("discriminator", "'kind'")).strip("'")
        return Diagnostic("MM102", f"`{tag}` is missing", span, where, f"add `{tag}: ...`")
    if kind == "value_error":
        message, _, text = str(context["error"]).partition("; ")
        return Diagnostic("MM105", message, span, where, text)
    shown = value if isinstance(value, str | int | float) else type(value).__name__
    hint = scalars.hint(value) if isinstance(value, str) else None
    return Diagnostic("MM104", f"{_lower(item['msg'])}, not `{shown}`", span, where, hint or "")


def _holding(value: Any, tag: Any) -> tuple[str, ...]:
    """The key of a mapping under which the tag of a union stands."""
    entries = value.items() if isinstance(value, Mapping) else ()
    return next(((str(key),) for key, entry in entries if str(entry) == str(tag)), ())


def _choice(value: Any, context: Mapping[str, Any], span: Any, where: str) -> Diagnostic:
    """A word that is none of the choices."""
    given = context.get("tag", value)
    allowed = str(context.get("expected_tags", context.get("expected", "")))
    choices = [word.strip(" '") for word in allowed.replace(" or ", ", ").split(",")]
    close = suggest(str(given), choices)
    text = f"did you mean `{close}`?" if close else f"one of: {', '.join(choices)}"
    return Diagnostic("MM103", f"`{given}` is not one of the choices here", span, where, text)


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:].replace("Input should be", "should be")


def _models(model: type[BaseModel], seen: set[type[BaseModel]]) -> set[type[BaseModel]]:
    """Every model reachable from a model's annotations."""
    if model in seen:
        return seen
    seen.add(model)
    stack: list[Any] = [field.annotation for field in model.model_fields.values()]
    while stack:
        annotation = stack.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            _models(annotation, seen)
        stack.extend(get_args(annotation))
    return seen


def _vocabulary() -> set[str]:
    """Every key that a spec may hold, for suggestions."""
    return {
        field.alias or name
        for model in _models(Spec, set())
        for name, field in model.model_fields.items()
    }


_TAGS = frozenset(
    """
    tokens image audio series table mlp glu experts switch by-modality ponder exit concat
    gated attention cross-attention transformer classifier regressor language-model
    contrastive
    """.split()
)
