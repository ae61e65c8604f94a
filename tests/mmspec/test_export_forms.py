"""What is exported runs where mmspec is not, and says what the model says."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import call
from large import is_deep
from torch import Tensor

import mmspec
from mmspec.compiler import ir
from mmspec.diagnostics import MmspecError
from mmspec.export import onnx_file, program
from mmspec.export.source import Source, source

ROOT = Path(__file__).parents[2]
SHIPPED = (
    sorted(path.stem for path in (ROOT / "specs").glob("*.yaml")) if is_deep() else ["early_exit"]
)
"""Each takes ten seconds and more: make deep has all, others one that halts."""

SPEC = """
mmspec: 1
name: tiny
about: a picture and what is said of it
modalities:
  text: {kind: tokens, vocab: 23, length: {max: 20}, position: rotary}
  image: {kind: image, size: [8, 8], channels: 3, patch: 4, position: sincos-2d, optional: true}
streams:
  text:
    from: [image, text]
    depth: 1
    width: 16
    heads: 2
    attention: {text -> text: causal, text -> image: full, image -> image: full}
    feed_forward: {kind: experts, experts: 3, choose: 2, width: 24}
heads:
  next: {from: text, kind: language-model, modality: text}
"""

ELSEWHERE = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("mmspec", "pydantic", "islpy"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import onnxruntime
import torch
from safetensors.torch import load_file
from transformers import (
    AutoConfig, AutoModel, AutoModelForCausalLM, Trainer, TrainingArguments
)

def close(found, expected, lengths):
    for sample, length in enumerate(lengths["text"]):
        ours, theirs = (each[sample, :length] for each in (expected, found))
        torch.testing.assert_close(theirs, ours, rtol=1e-3, atol=1e-4)

cases = torch.load("cases.pt")
saved = torch.export.load("tiny.pt2").module()
session = onnxruntime.InferenceSession("tiny.onnx")
sys.path.insert(0, "tiny-package")
from tiny import Tiny

package = Tiny().eval()
package.load_state_dict(load_file("tiny-package/model.safetensors"))
opened = AutoModelForCausalLM.from_pretrained("tiny-hf", trust_remote_code=True)
for given, expected in cases:
    lengths = given["lengths"]
    close(package(**given).heads.next, expected, lengths)
    close(saved(**given)["next"], expected, lengths)
    flat = {name: x.numpy() for name, x in given.items() if name != "lengths"}
    flat |= {f"lengths.{name}": x.numpy() for name, x in lengths.items()}
    close(torch.from_numpy(session.run(["next"], flat)[0]), expected, lengths)
    mask = (torch.arange(given["text"].shape[1]) < lengths["text"][:, None]).long()
    called = {"pixel_values": given["image"], "image_length": lengths["image"]}
    labels = given["text"].masked_fill(mask == 0, -100)
    found = opened(input_ids=given["text"], attention_mask=mask, labels=labels, **called)
    close(found.logits, expected, lengths)
    loss = package(**given, targets={"next": given["text"]}).loss
    torch.testing.assert_close(opened(input_ids=given["text"], attention_mask=mask, labels=labels,
                                      return_dict=False, **called)[0], loss)
    # Those that the mask leaves out may stand in front too.
    turned = [list(range(n, mask.shape[1])) + list(range(n)) for n in lengths["text"].tolist()]
    place = torch.tensor(turned)
    left = {"input_ids": given["text"].gather(1, place), "attention_mask": mask.gather(1, place)}
    again = opened(**left, labels=labels.gather(1, place), **called)
    torch.testing.assert_close(again.loss, loss)
    for sample, length in enumerate(lengths["text"].tolist()):
        torch.testing.assert_close(again.logits[sample, place.shape[1] - length:],
                                   expected[sample, :length], rtol=1e-3, atol=1e-4)
    if mask.shape[1] < 12:
        made = opened.generate(**left, **called, max_new_tokens=3, do_sample=False)
        for sample, length in enumerate(lengths["text"].tolist()):
            ids = given["text"][sample : sample + 1, :length]
            one = {name: x[sample : sample + 1] for name, x in called.items()}
            for _ in range(3):
                said = package(text=ids, image=one["pixel_values"],
                               lengths={"image": one["image_length"]}).heads.next
                ids = torch.cat([ids, said[:, -1:].argmax(-1)], 1)
            assert made[sample, -3:].tolist() == ids[0, -3:].tolist()

opened.save_pretrained("again")
again = AutoModel.from_pretrained("again", trust_remote_code=True)
for name, value in opened.state_dict().items():
    assert torch.equal(value, again.state_dict()[name]), name
for name, buffer in package.named_buffers():
    assert torch.equal(buffer, again.inner.get_buffer(name)), name
settings = AutoConfig.from_pretrained("tiny-hf", trust_remote_code=True)
torch.manual_seed(3)
fresh = AutoModel.from_config(settings, trust_remote_code=True)
torch.manual_seed(3)
for name, value in Tiny().state_dict().items():
    assert torch.equal(value, fresh.inner.state_dict()[name]), name

rows = [
    {"input_ids": x, "labels": x, "pixel_values": image}
    for x, image in zip(given["text"], given["image"])
]
arguments = TrainingArguments("trained", max_steps=1, per_device_train_batch_size=len(rows),
                              use_cpu=True, report_to=[], save_strategy="no", disable_tqdm=True)
before = opened.inner.text_embedding.table.weight.clone()
done = Trainer(opened, arguments, train_dataset=rows).train()
loss = package(text=given["text"], image=given["image"], targets={"next": given["text"]}).loss
torch.testing.assert_close(torch.tensor(done.training_loss), loss.detach())
assert not torch.equal(before, opened.inner.text_embedding.table.weight)
"""


def drawn(plan: ir.Plan, batch: int, longest: int, seed: int) -> dict[str, Any]:
    """Inputs of a program, ragged; of optional ones some samples have none."""
    torch.manual_seed(seed)
    given = program.samples(plan, batch, longest)
    for item in plan.inputs:
        x = given[item.name]
        given[item.name] = torch.randint_like(x, 2) if _is_coded(item) else torch.randn_like(x)
    for name, most in given.get("lengths", {}).items():
        fewest = 0 if name != plan.inputs[0].name and _named(plan, name).optional else 1
        given["lengths"][name] = torch.randint(fewest, int(most[0]) + 1, (batch,))
    return given


def _is_coded(item: ir.Input) -> bool:
    return item.dtype == "int64" or item.kind == "table"


def _named(plan: ir.Plan, name: str) -> ir.Input:
    return next(item for item in plan.inputs if item.name == name)


def compared(found: Tensor, expected: Tensor, head: ir.Head, given: dict[str, Any]) -> None:
    """The same, but for tokens that are not there."""
    if head.segment:
        valid = torch.arange(expected.shape[1]) < given["lengths"][head.segment][:, None]
        found, expected = found[valid], expected[valid]
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(SPEC)
    return tmp_path


@pytest.mark.slow
def test_every_form_says_what_the_model_says_where_mmspec_is_not(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for form in ("pt2", "onnx", "hf", "package"):
        assert call("export", "tiny.yaml", "--to", form) == 0
        assert f"wrote tiny{'-' if form in ('hf', 'package') else '.'}{form}\n" in (
            capsys.readouterr().out
        )
    found = source("tiny.yaml")
    sizes = ((1, 1, 0), (4, 20, 1), (3, 9, 2))
    cases = [drawn(found.plan, *size) for size in sizes]
    with torch.no_grad():
        torch.save([(case, found.model(**case).heads.next) for case in cases], "cases.pt")
    more = {"HF_HOME": str(here / "home"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        (sys.executable, "-c", ELSEWHERE),
        capture_output=True,
        text=True,
        env={**os.environ, **more},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.deep
@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_specs_are_exported_for_any_batch_and_length(name: str) -> None:
    """Those that halt too, in which every sample goes to the end."""
    runtime: Any = import_module("onnxruntime")
    found = source(ROOT / "specs" / f"{name}.yaml")
    plan, model = found.plan, found.model
    made = torch.export.load(io.BytesIO(program.saved(found))).module()
    session = runtime.InferenceSession(onnx_file.saved(found))
    taken = {each.name for each in session.get_inputs()}
    for size in ((1, 1, 0), (5, 40, 1), (2, 300, 2)):
        given = drawn(plan, *size)
        flat = {key: x.numpy() for key, x in onnx_file.flat(given).items() if key in taken}
        with torch.no_grad():
            heads, programmed = model(**given).heads._asdict(), made(**given)
        written = session.run([head.name for head in plan.heads], flat)
        for head, value in zip(plan.heads, written, strict=True):
            compared(programmed[head.name], heads[head.name], head, given)
            compared(torch.from_numpy(value), heads[head.name], head, given)


def test_files_say_which_spec_they_are_of(here: Path) -> None:
    """The metadata of a folder's weights, of its configuration and of a program are one."""
    assert call("export", "tiny.yaml", "--to", "hf", "-o", "out") == 0
    told = json.loads(Path("out/config.json").read_text())
    assert told["mmspec"] == program.metadata(source("tiny.yaml"))
    from mmspec.weights import files, stamp

    stamp.check(files.opened("out"), mmspec.read("tiny.yaml"))
    Path("other.yaml").write_text(SPEC.replace("width: 16", "width: 32"))
    with pytest.raises(MmspecError, match="MM625"):
        stamp.check(files.opened("out"), mmspec.read("other.yaml"))


def test_classes_are_called_as_the_data_called_them() -> None:
    found = source(ROOT / "specs" / "early_exit.yaml")
    from mmspec.export import folders

    outputs = {"label": {"kind": "classifier", "labels": ["a", "b"]}}
    told = folders.configuration(
        Source(found.spec, found.package, found.state, {"outputs": outputs})
    )
    assert told["id2label"]["1"] == "b" and told["id2label"]["2"] == "LABEL_2"
    assert told["label2id"]["b"] == 1
    assert "AutoModelForImageClassification" in told["auto_map"]


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert call("export", *words) == 2
    told = capsys.readouterr().err
    assert "Traceback" not in told
    return told


def test_what_cannot_be_exported_is_told(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("empty").mkdir()
    Path("theirs").mkdir()
    Path("theirs/config.json").write_text("{}")
    for code, *words in (
        ("MM001", "none.yaml", "--to", "pt2"),
        ("MM613", "empty", "--to", "pt2"),
        ("MM622", "tiny.yaml", "--to", "hf", "--weights", "none.safetensors"),
        ("MM603", "tiny.yaml", "--to", "pt2", "-o", "nowhere/x.pt2"),
        ("MM603", "tiny.yaml", "--to", "hf", "-o", "tiny.yaml/x"),
        ("MM602", "tiny.yaml", "--to", "hf", "-o", "theirs"),
    ):
        assert code in said(capsys, *words), words
    with monkeypatch.context() as own:
        own.setitem(sys.modules, "onnxscript", None)
        assert "MM512" in said(capsys, "tiny.yaml", "--to", "onnx")
    with monkeypatch.context() as own:
        own.setattr(torch.export, "export", lambda *_, **__: 1 / 0)
        assert "MM627" in said(capsys, "tiny.yaml", "--to", "pt2")
    assert Path("theirs/config.json").read_text() == "{}"
    assert sorted(os.listdir()) == ["empty", "theirs", "tiny.yaml"]
