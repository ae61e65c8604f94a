"""A `config.json` as what it says is asked for: what is not asked for, or not sayable, is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from mmspec.diagnostics import Diagnostic

ACTIVATIONS: Final = {
    "gelu": "gelu",
    "gelu_new": "gelu-tanh",
    "gelu_fast": "gelu-tanh",
    "gelu_pytorch_tanh": "gelu-tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "quick_gelu": "quick-gelu",
}
"""By their names in transformers."""
_WITHOUT_MEANING: Final = frozenset(
    "architectures auto_map bos_token_id chunk_size_feed_forward classifier_dropout "
    "decoder_start_token_id dtype encoder_stride eos_token_id finetuning_task forced_bos_token_id "
    "forced_eos_token_id gradient_checkpointing id2label initializer_factor is_encoder_decoder "
    "label2id model_type name_or_path num_labels output_attentions output_hidden_states "
    "pad_token_id pooler_act pooler_output_size prefix pretraining_tp problem_type "
    "reorder_and_upcast_attn return_dict sep_token_id slow_but_exact task_specific_params "
    "tokenizer_class torch_dtype transformers_version unk_token_id use_cache "
    "use_return_dict".split()
)
"""What says nothing of what the model computes from its tokens."""


class Key(NamedTuple):
    """A key of a spec: what stands behind it, and the settings that say so."""

    key: str
    value: str
    source: str = ""


class Settings:
    """The settings of a model, or of a part of one; each is asked for by its name."""

    def __init__(self, given: Mapping[str, Any], where: str = "") -> None:
        self._given, self._where = given, where
        self._asked: set[str] = set()
        self._parts: list[Settings] = []
        self.problems: list[Diagnostic] = []
        """What the language has no word for."""

    def get(self, name: str, default: Any = None) -> Any:
        """A setting as it stands there, `default` where it does not, or is null."""
        self._asked.add(name)
        found = self._given.get(name)
        return default if found is None else found

    def size(self, name: str, default: int | None = None) -> int:
        """A whole number above 0."""
        found = self.get(name, default)
        if type(found) is int and found > 0:
            return found
        self.refuse(name, found, "it is a whole number above 0")
        return default or 1

    def number(self, name: str, default: float) -> float:
        """A number."""
        found = self.get(name, default)
        if isinstance(found, int | float) and not isinstance(found, bool):
            return float(found)
        self.refuse(name, found, "it is a number")
        return default

    def activation(self, name: str, default: str) -> str:
        """An activation by the word of the language."""
        found = self.get(name, default)
        if isinstance(found, str) and found in ACTIVATIONS:
            return ACTIVATIONS[found]
        self.refuse(name, found, f"there is {', '.join(ACTIVATIONS)}")
        return "gelu"

    def only(self, **wanted: Any) -> None:
        """Refuse settings that say anything else; left out, or null, they say this."""
        for name, value in wanted.items():
            found = self.get(name, value)
            if found != value:
                self.refuse(name, found, f"only {value!r} has a word in the language")

    def unused(self, *names: str) -> None:
        """Take note of settings that say nothing, given what others say."""
        self._asked.update(names)

    def part(self, name: str) -> Settings:
        """The settings of a part."""
        found = self.get(name, {})
        if not isinstance(found, Mapping):
            self.refuse(name, found, "it is an object")
            found = {}
        inside = Settings(found, f"{self._where}{name}.")
        inside.problems = self.problems
        self._parts.append(inside)
        return inside

    def refuse(self, name: str, found: Any, advice: str) -> None:
        """The language has no word for what a setting says."""
        what = f"`{self._where}{name}` is {found!r}"[:200]
        self.problems.append(Diagnostic("MM626", what, help=advice))

    def rest(self) -> dict[str, Any]:
        """What was not asked for and says something, by name."""
        known = self._asked | _WITHOUT_MEANING
        found = {
            f"{self._where}{name}": value
            for name, value in self._given.items()
            if name not in known and name.lstrip("_") not in known and not _is_nothing(name, value)
        }
        for part in self._parts:
            found |= part.rest()
        return found


def _is_nothing(name: str, value: Any) -> bool:
    """Whether a setting that nobody asked for changes nothing: no dropout, null."""
    return value is None or (not value and "drop" in name)


def plain(value: float) -> str:
    """A number as people write it: `1e-5`, `500000`."""
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return repr(float(value)).replace("e-0", "e-")
