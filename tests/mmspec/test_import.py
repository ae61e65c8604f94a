"""Settings of published models become specs: what is said, what is named, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import call

import mmspec
from mmspec.diagnostics import MmspecError
from mmspec.families.importing import imported
from mmspec.schema.resolved import resolved

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    **{"vocab_size": 31, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2},
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64},
}
GEMMA = {
    **LLAMA,
    "model_type": "gemma3_text",
    "architectures": ["Gemma3ForCausalLM"],
    "head_dim": 6,
    "num_hidden_layers": 8,
}


def stream(tmp_path: Path, **given: Any) -> dict[str, Any]:
    """The only stream of what is imported of settings, resolved."""
    (tmp_path / "config.json").write_text(json.dumps(given))
    path = tmp_path / "made.yaml"
    path.write_text(imported(tmp_path, "made").text)
    found: dict[str, Any] = resolved(mmspec.read(path))["streams"]["text"]
    return found


def test_settings_of_both_generations_turn_alike(tmp_path: Path) -> None:
    """Of old, base and scaling stood apart; `type` is the older word for `rope_type`."""
    turns = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    turns |= {"original_max_position_embeddings": 32}
    new = stream(
        tmp_path, **LLAMA, rope_parameters={"rope_type": "llama3", "rope_theta": 5e5, **turns}
    )
    old = stream(tmp_path, **LLAMA, rope_theta=5e5, rope_scaling={"type": "llama3", **turns})
    assert new == old
    assert new["rotary"]["base"] == 5e5
    scaling = {"kind": "llama3", "factor": 8.0, "length": 32, "low": 1.0, "high": 4.0}
    assert new["rotary"]["scaling"] == scaling


def test_layers_of_several_kinds_of_old_settings(tmp_path: Path) -> None:
    """Five local layers and a global one, which turns by a base of its own."""
    found = stream(tmp_path, **GEMMA, sliding_window=9, sliding_window_pattern=6)
    assert found["layers"] == ["local*5", "global"]
    assert found["variants"]["global"]["rotary"]["base"] == 1e6
    assert "9" not in str(found["variants"]["global"]["attention"])
    assert "before=8" in str(found["variants"]["local"]["attention"])


def test_biases_by_role(tmp_path: Path) -> None:
    found = stream(tmp_path, **LLAMA, attention_bias=True)
    named = {name for name, has in found["bias"].items() if has and name != "linear"}
    assert named == {"query", "key", "value", "output"}


def test_what_has_no_word_is_refused_by_name(tmp_path: Path) -> None:
    odd = {**GEMMA, "attn_logit_softcapping": 50.0, "hidden_activation": "mish", "vocab_size": "31"}
    (tmp_path / "config.json").write_text(json.dumps(odd))
    with pytest.raises(MmspecError) as error:
        imported(tmp_path, "made")
    told = {each.message: each.code for each in error.value.diagnostics}
    assert set(told.values()) == {"MM626"}
    assert "`attn_logit_softcapping` is 50.0" in told
    assert "`hidden_activation` is 'mish'" in told
    assert "`vocab_size` is '31'" in told


def test_what_is_left_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Some-Model.1").mkdir()
    settings = {**LLAMA, "attention_dropout": 0.25, "speed": {"a": 1}, "resid_dropout": 0.0}
    (tmp_path / "Some-Model.1" / "config.json").write_text(json.dumps(settings))
    assert call("import", "Some-Model.1") == 0
    text = (tmp_path / "some_model_1.yaml").read_text()
    assert "#   attention_dropout: 0.25\n#   speed: {'a': 1}\n" in text
    assert "resid_dropout" not in text
    assert "vocab: 31                                 # vocab_size" in text
    mmspec.check(tmp_path / "some_model_1.yaml")
    assert call("import", "Some-Model.1") == 2  # never over a file


def test_a_class_with_another_head_is_named(tmp_path: Path) -> None:
    other = {**LLAMA, "architectures": ["LlamaForSequenceClassification"]}
    (tmp_path / "config.json").write_text(json.dumps(other))
    assert imported(tmp_path, "made").rest == {"architectures": other["architectures"]}
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    assert not imported(tmp_path, "made").rest


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "MM622"),
        ("{", "is no JSON"),
        ("[]", "holds no settings"),
        ("{}", "names no `model_type`"),
        ('{"model_type": "lama"}', "did you mean `llama`?"),
        ('{"model_type": "llama"}', "`vocab_size` is None"),
    ],
)
def test_what_is_no_config(content: str | None, told: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(MmspecError) as error:
        imported(tmp_path, "made")
    assert told in str(error.value)
