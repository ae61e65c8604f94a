"""Models as folders: for `AutoModel` of transformers, or the package's source with its weights."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mmspec.compiler import driver, ir
from mmspec.compiler.emit import package as emitted
from mmspec.diagnostics import Diagnostic, MmspecError, unwritable
from mmspec.export import modeling, naming
from mmspec.export.source import Source
from mmspec.train import folder
from mmspec.weights import files, stamp

_MANIFEST: Final = "manifest.json"
_PREFIX: Final = "inner."
"""Where the package's model stands in that of transformers."""


def package(source: Source, out: Path) -> None:
    """The package as `mmspec compile` writes it, in a folder, and its weights beside it.

    Raises MmspecError MM601 to MM605 where it cannot be written.
    """
    emitted.write(driver.emit(source.spec), out / source.spec.name)
    folder.write(out / files.NAME, stamp.packed(source.weights, source.spec))


def transformers(source: Source, out: Path) -> None:
    """What `AutoModel.from_pretrained(out, trust_remote_code=True)` opens.

    Raises MmspecError MM602 where the folder holds files of that name that are not ours.
    """
    texts = _texts(source)
    _check(out, texts)
    state = {f"{_PREFIX}{name}": value for name, value in source.weights.items()}
    _made(out)
    for name, text in texts.items():
        folder.write(out / name, text.encode())
    folder.write(out / files.NAME, stamp.packed(state, source.spec))


def _made(out: Path) -> None:
    """The folder, where it is not there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(out, error, "name another folder with --out") from None


def _check(out: Path, texts: Mapping[str, str]) -> None:
    """Raise MM602 where files would be replaced that this did not write."""
    there = [name for name in (*texts, files.NAME) if (out / name).exists()]
    try:
        ours = isinstance(json.loads((out / _MANIFEST).read_bytes())["mmspec"], str)
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if there and not ours:
        message = f"{out} holds files that mmspec did not write: {', '.join(there[:5])}"
        raise MmspecError(Diagnostic("MM602", message, help="name another folder with --out"))


def _texts(source: Source) -> dict[str, str]:
    """Every file of text by name: all in one folder, as transformers looks for them."""
    plan, name = source.plan, source.spec.name
    kept = {
        _flat(file): _flattened(file, text)
        for file, text in source.package.files.items()
        if file.endswith((".py", ".yaml")) and not file.endswith("__init__.py")
    }
    kept[f"modeling_{name}.py"] = modeling.source(plan, name)
    kept["config.json"] = _json(configuration(source))
    if naming.writes(plan):
        kept["generation_config.json"] = _json({"use_cache": False})
    return {**kept, _MANIFEST: emitted.manifest(kept, kept["spec.yaml"], {})}


def _flat(file: str) -> str:
    """`runtime/grouped.py` as a file of the folder."""
    return file.replace("/", "_")


def _flattened(file: str, text: str) -> str:
    """A module's imports of its neighbours, where all are in one folder."""
    if file.startswith("runtime/"):
        return re.sub(r"^from \.(\w+) import", r"from .runtime_\1 import", text, flags=re.M)
    return re.sub(r"^from \.runtime\.(\w+) import", r"from .runtime_\1 import", text, flags=re.M)


def configuration(source: Source) -> dict[str, Any]:
    """What `config.json` says."""
    plan = source.plan
    name, head = plan.class_name, naming.writes(plan)
    module = f"modeling_{source.spec.name}"
    auto = {"AutoConfig": f"{module}.{name}Config"}
    auto |= {each: f"{module}.{name}Model" for each in _autos(plan)}
    config: dict[str, Any] = {
        "architectures": [f"{name}Model"],
        "auto_map": auto,
        "model_type": f"mmspec_{source.spec.name}",
        "dtype": "float32",
        "mmspec": stamp.metadata(source.spec),
    }
    if head is not None:
        (item,) = (each for each in plan.inputs if each.name == head.segment)
        longest = {"max_position_embeddings": item.longest, "is_decoder": True}
        config |= {"vocab_size": head.size, **longest, "use_cache": False}
    if len(plan.heads) == 1 and plan.heads[0].answer.sorts:
        config["id2label"] = _classes(source, plan.heads[0])
        config["label2id"] = {label: int(key) for key, label in config["id2label"].items()}
    return config


def _autos(plan: ir.Plan) -> list[str]:
    """Under which names transformers finds the model."""
    found, inputs = ["AutoModel"], [each.parameter for each in naming.given(plan)]
    if naming.writes(plan):
        found.append("AutoModelForCausalLM")
    answers = [head.answer for head in plan.heads]
    if len(answers) == 1 and inputs == ["input_ids"] and (answers[0].sorts or answers[0].measures):
        found.append("AutoModelForSequenceClassification")
    if len(answers) == 1 and inputs == ["pixel_values"] and answers[0].sorts:
        found.append("AutoModelForImageClassification")
    return found


def _classes(source: Source, head: ir.Head) -> dict[str, str]:
    """Names of the classes by id: those of the data, as far as it had some."""
    told = source.described.get("outputs", {}).get(head.name, {}).get("labels") or []
    names = [*map(str, told), *(f"LABEL_{at}" for at in range(len(told), head.size))]
    return {str(at): name for at, name in enumerate(names)}


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
