"""Weights in and out: what matches, what is left over, what is refused; files say their spec."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import call
from safetensors.torch import load_file, save_file
from torch import Tensor

import mmspec
from mmspec.diagnostics import MmspecError
from mmspec.families.importing import SETTINGS
from mmspec.weights import files

SPEC = """
mmspec: 1
name: small
modalities:
  words: {kind: tokens, vocab: 31, length: {max: 16}, position: rotary}
streams:
  body:
    {from: words, depth: 2, width: 16, heads: 4, kv_heads: 2, attention: causal, norm: rms,
     bias: false, feed_forward: {kind: glu, width: 20, activation: silu}}
heads:
  lm: {from: body, kind: language-model, tied: true}
"""
"""A Llama whose parts have other names than the family's, and whose output is its table."""


def llama(rows: int = 31) -> dict[str, Tensor]:
    """What a file of Llama holds, written down by hand."""
    shapes = {
        "self_attn.q_proj": (16, 16),
        "self_attn.k_proj": (8, 16),
        "self_attn.v_proj": (8, 16),
        "self_attn.o_proj": (16, 16),
        "mlp.gate_proj": (20, 16),
        "mlp.up_proj": (20, 16),
        "mlp.down_proj": (16, 20),
        "input_layernorm": (16,),
        "post_attention_layernorm": (16,),
    }
    found = {
        "model.embed_tokens.weight": torch.randn(rows, 16),
        "model.norm.weight": torch.ones(16),
    }
    for layer in (0, 1):
        for name, shape in shapes.items():
            found[f"model.layers.{layer}.{name}.weight"] = torch.randn(shape)
    return found


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    torch.manual_seed(0)
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(SPEC)
    save_file(llama(), "model.safetensors")
    return tmp_path


def weights(*more: str) -> int:
    return call("weights", "small.yaml", *(more or ("model.safetensors",)))


def test_a_checkpoint_becomes_the_weights_of_a_spec(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert weights("model.safetensors", "--out", "out.safetensors") == 0
    shown = capsys.readouterr().out
    assert "body_stream.blocks.#.attention.qkv" in shown
    assert "model.layers.#.self_attn.{q,k,v}_proj" in shown
    assert "16 of 16 weights matched" in shown
    there, state = (
        load_file("model.safetensors"),
        mmspec.load_weights("small.yaml", "out.safetensors"),
    )
    layer = "model.layers.1.self_attn"
    rows = torch.cat([there[f"{layer}.{x}_proj.weight"] for x in "qkv"])
    assert torch.equal(state["body_stream.blocks.1.attention.qkv.weight"], rows)
    mmspec.compile("small.yaml")().load_state_dict(state)
    assert weights("out.safetensors", "--to", "transformers", "--out", "back.safetensors") == 0
    again = load_file("back.safetensors")
    assert {*again} == {*there}
    assert all(torch.equal(again[name], value) for name, value in there.items())


def test_transformers_loads_what_is_written_back(here: Path) -> None:
    """Its file in shards comes in; what goes out is all that its model misses."""
    transformers: Any = import_module("transformers")
    settings = {
        **{"vocab_size": 31, "hidden_size": 16, "intermediate_size": 20, "num_hidden_layers": 2},
        **{"num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": True},
    }
    peer = transformers.LlamaForCausalLM(transformers.LlamaConfig(**settings))
    peer.save_pretrained(here / "there", max_shard_size="4KB")
    assert len([*(here / "there").glob("*.safetensors")]) > 2
    assert weights("there", "--out", "ours.safetensors") == 0
    for file in (here / "there").glob("*.safetensors*"):
        file.unlink()
    back = ("--to", "transformers", "--out", "there/model.safetensors")
    assert weights("ours.safetensors", *back) == 0
    again, told = transformers.LlamaForCausalLM.from_pretrained("there", output_loading_info=True)
    assert not any(told[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    ids = torch.arange(9)[None]
    assert torch.equal(again(ids).logits, peer.eval()(ids).logits)


def test_what_is_left_over_is_told_and_nothing_written_until_it_is_named(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = llama() | {"score.weight": torch.randn(2, 16)}
    del held["model.norm.weight"]
    save_file(held, "model.safetensors")
    assert weights("model.safetensors", "--out", "out.safetensors") == 1
    assert not Path("out.safetensors").exists()
    shown = capsys.readouterr().out
    assert "not in the checkpoint:\n  body_stream.norm.weight" in shown
    assert "not in the model:\n  score.weight" in shown
    named = ("--leave", "score", "--leave", "body_stream.norm")
    assert weights("model.safetensors", "--out", "out.safetensors", *named, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["missing"], told["left_over"]) == ([], [])
    assert told["left"] == ["score.weight", "body_stream.norm.weight"]
    assert "body_stream.norm.weight" not in mmspec.load_weights("small.yaml", "out.safetensors")


def test_another_shape_is_refused_by_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held = llama(rows=33)
    held["model.layers.1.mlp.down_proj.weight"] = torch.randn(20, 16)
    save_file(held, "model.safetensors")
    assert weights() == 2
    told = capsys.readouterr().err
    assert "`words_embedding.table.weight` is [31, 16], and in the checkpoint" in told
    assert "`model.embed_tokens.weight` [33, 16]" in told
    assert "`model.layers.1.mlp.down_proj.weight` [20, 16]" in told  # as many numbers, all the same
    assert weights("model.safetensors", "--leave", "nothing") == 2
    assert "MM624" in capsys.readouterr().err


def test_what_says_nothing_new_is_no_weight_too_many(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table that is written twice, and one that models make; another table is too many."""
    held = llama() | {"model.rotary_emb.inv_freq": torch.ones(2)}
    held["lm_head.weight"] = held["model.embed_tokens.weight"].clone()
    save_file(held, "model.safetensors")
    assert weights() == 0
    assert "says nothing new:\n  model.rotary_emb.inv_freq\n  lm_head" in capsys.readouterr().out
    held["lm_head.weight"][3, 4] += 1e-6
    save_file(held, "model.safetensors")
    assert weights() == 1
    assert "not in the model:\n  lm_head.weight" in capsys.readouterr().out


def test_a_file_of_the_model_without_its_head(here: Path) -> None:
    bare = {name.removeprefix("model."): value for name, value in llama().items()}
    save_file(bare, "model.safetensors")
    assert weights() == 0


def test_no_family(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_file({"what": torch.ones(3)}, "model.safetensors")
    assert weights() == 2
    assert weights("model.safetensors", "--family", "lama") == 2
    shown = capsys.readouterr().err
    assert "no family calls its weights as model.safetensors does" in shown
    assert "did you mean `llama`?" in shown


def _pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _empty(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-9])


def _no_shard(folder: Path) -> None:
    (folder / files.INDEX).write_text('{"weight_map": {"a": "none.safetensors"}}')


def _elsewhere(folder: Path) -> None:
    (folder / files.INDEX).write_text('{"weight_map": {"a": "../model.safetensors"}}')


def _strange_shard(folder: Path) -> None:
    (folder / files.INDEX).write_text('{"weight_map": {"a": "model.safetensors"}}')


def _no_index(folder: Path) -> None:
    (folder / files.INDEX).write_text("[1]")


def _no_settings(folder: Path) -> None:
    (folder / SETTINGS).write_text("{")


BROKEN: tuple[tuple[Callable[[Path], None], str], ...] = (
    (_pickle, "pytorch_model.bin is a pickle"),
    (_empty, "holds no safetensors"),
    (_cut, "is no safetensors, or damaged"),
    (_no_shard, "none.safetensors is not there"),
    (_elsewhere, "names a file elsewhere"),
    (_strange_shard, "says that model.safetensors holds `a`"),
    (_no_index, "says where no tensor is"),
    (_no_settings, "is no JSON, or damaged"),
)


@pytest.mark.parametrize(("spoil", "told"), BROKEN, ids=lambda each: getattr(each, "__name__", ""))
def test_what_is_no_checkpoint(spoil: Callable[[Path], None], told: str, tmp_path: Path) -> None:
    save_file({"x": torch.ones(3)}, tmp_path / "model.safetensors")
    spoil(tmp_path)
    with pytest.raises(MmspecError, match="MM622") as error:
        files.opened(tmp_path)
    assert told in str(error.value)


def test_a_file_says_which_spec_it_is_of_and_is_loaded_into_no_other(here: Path) -> None:
    assert weights("model.safetensors", "--out", "out.safetensors") == 0
    held = files.opened("out.safetensors").metadata
    assert (held["format"], held["mmspec"]) == ("pt", mmspec.__version__)
    assert mmspec.read("small.yaml").name in held["spec"]
    renamed = SPEC.replace("name: small", "name: other") + "claims: [params <= 1e9]\n"
    Path("other.yaml").write_text(renamed)  # the same model by another name
    mmspec.load_weights("other.yaml", "out.safetensors")
    Path("other.yaml").write_text(renamed.replace("causal", "window(before=3)"))
    with pytest.raises(MmspecError, match="MM625") as error:
        mmspec.load_weights("other.yaml", "out.safetensors")
    assert "of the spec `small`, not of `other`: streams.body.attention is " in str(error.value)
    with pytest.raises(MmspecError, match="does not say which spec"):
        mmspec.load_weights("small.yaml", "model.safetensors")


def test_weights_go_over_to_another_architecture(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What fits is taken, what is named is left: a head of its own instead of the table."""
    assert weights("model.safetensors", "--out", "out.safetensors") == 0
    shutil.copy("small.yaml", "first.yaml")
    Path("small.yaml").write_text(SPEC.replace("tied: true", "tied: false"))
    assert weights("out.safetensors", "--out", "next.safetensors") == 1
    capsys.readouterr()
    assert weights("out.safetensors", "--out", "next.safetensors", "--leave", "lm_head") == 0
    assert "16 of 17 weights matched" in capsys.readouterr().out
    found = mmspec.load_weights("small.yaml", "next.safetensors")
    assert {*found} == {*mmspec.load_weights("first.yaml", "out.safetensors")}
