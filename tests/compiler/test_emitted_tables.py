"""Packages whose masks are tables: what they pass over changes neither outputs nor gradients."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from emitted_case import HALTING, ONE, compare, emitted, never_dense, twins
from torch import Tensor, nn

import mmspec
from mmspec.compiler import driver
from mmspec.verify.reference import run

PACKED = """
mmspec: 1
name: packs
modalities: {text: {kind: tokens, vocab: 31, length: {max: 1024}, position: rotary}}
streams:
  text: {from: text, depth: 2, width: 24, heads: 6, kv_heads: 2, attention: document & causal}
heads: {next: {from: text, kind: language-model}}
"""
SEVERAL = """
mmspec: 1
name: shares
modalities:
  text: {kind: tokens, vocab: 31, length: {max: 900}, position: rotary}
  audio: {kind: audio, features: 3, rate: 100 Hz, length: {max: 700}, optional: true}
  image: {kind: image, size: [40, 72], patch: 4, optional: true}
streams:
  drawn: {from: text, depth: 1, width: 24, heads: 2, attention: "random(3) | block(64)"}
  joint:
    from: [text, image, audio]
    depth: 2
    width: 24
    heads: 4
    kv_heads: 2
    halting: {kind: HALTING}
    attention:
      text -> text: document & causal | prefix(3)
      text -> audio: document
      text -> image: global(2)
      image -> image: window2d(1)
      audio -> audio: random(2) & window(before=200, after=200)
      audio -> text: document & ~random(2)
  read:
    from:
      fusion: cross-attention
      of: [text, audio]
      heads: 2
      attention: {text -> audio: document}
    depth: 1
    width: 24
    heads: 2
    attention:
      - {heads: 1, mask: document}
      - {heads: 1, mask: causal & window(before=99)}
heads:
  label: {from: joint, kind: classifier, classes: 3}
  other: {from: drawn, kind: classifier, classes: 3}
  third: {from: read, kind: classifier, classes: 3}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a spec of packed documents."""
    found = tmp_path / "packs.yaml"
    found.write_text(PACKED)
    return found


def model(path: Path) -> Any:
    torch.manual_seed(0)
    found: Any = mmspec.compile(path)().double()
    never_dense(found)
    return found


def rows(*samples: list[int]) -> Tensor:
    """The document of each token, by the tokens of each."""
    return torch.stack(
        [torch.arange(len(one)).repeat_interleave(torch.tensor(one)) for one in samples]
    )


def test_packed_documents_equal_the_reference(path: Path) -> None:
    special = model(path)
    torch.manual_seed(1)
    text = torch.randint(0, 31, (2, 203))
    documents = {"text": rows([40, 1, 90, 72], [150, 53])}
    lengths = {"text": torch.tensor([203, 171])}
    found = special(text=text, documents=documents, lengths=lengths, targets={"next": text})
    names, weights = zip(*special.named_parameters(), strict=True)
    gradients = torch.autograd.grad(found.loss, weights)
    given = {
        name: value.detach().clone().requires_grad_()
        for name, value in zip(names, weights, strict=True)
    }
    spec = driver.run(path, "validate")
    expected = run(spec, given, {"text": text}, lengths, {"next": text}, documents=documents)
    assert expected.loss is not None
    wanted = torch.autograd.grad(expected.loss, [*given.values()])
    real = ~expected.heads["next"].isnan()
    torch.testing.assert_close(found.heads.next[real], expected.heads["next"][real])
    torch.testing.assert_close(found.loss, expected.loss)
    for name, one, other in zip(names, gradients, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11, msg=name)


def test_packed_documents_are_documents_alone(path: Path) -> None:
    """Positions are where a token stands in its row, so each document is padded in front."""
    special = model(path).eval()
    torch.manual_seed(2)
    text = torch.randint(0, 31, (1, 700))
    sizes = [130, 64, 1, 505]
    whole = special(text=text, documents={"text": rows(sizes)}).heads.next
    start = 0
    for size in sizes:
        row = torch.zeros(1, start + size, dtype=torch.int64)
        row[0, start:] = text[0, start : start + size]
        alone = special(text=row, documents={"text": rows([start] * (start > 0) + [size])})
        torch.testing.assert_close(alone.heads.next[:, start:], whole[:, start : start + size])
        start += size


def inputs(tokens: int, frames: int) -> dict[str, Any]:
    torch.manual_seed(tokens)
    return {
        "text": torch.randint(0, 31, (3, tokens)),
        "audio": torch.randn(3, frames, 3, dtype=torch.float64) if frames else None,
        "image": torch.randn(3, 3, 40, 72, dtype=torch.float64) if frames else None,
        "documents": {
            "text": torch.randint(0, 6, (3, tokens)).sort().values,
            **({"audio": torch.randint(0, 6, (3, frames)).sort().values} if frames else {}),
        },
        "lengths": {
            "text": torch.tensor([tokens, tokens // 2, tokens - 1]),
            **({"audio": torch.tensor([frames, 0, frames // 3])} if frames else {}),
        },
        "targets": {name: torch.tensor([0, 1, 2]) for name in ("label", "other", "third")},
    }


@pytest.mark.parametrize("halting", ["none", "ponder", "exit"])
def test_outputs_and_gradients_are_those_of_all_pairs(tmp_path: Path, halting: str) -> None:
    line = f"    halting: {{kind: {HALTING[halting]}}}\n" if halting in HALTING else ""
    spec = SEVERAL.replace("    halting: {kind: HALTING}\n", line)
    pair = twins(tmp_path / f"{halting}.yaml", spec, "tiles")
    never_dense(pair[0])
    for tokens, frames in ((437, 270), (130, 0)):
        for one in pair:
            one.train(frames > 0 or halting == "none")
        compare(pair, inputs(tokens, frames))


def test_one_graph_for_every_length_and_all_documents(path: Path) -> None:
    special = model(path).eval()
    torch.compiler.reset()
    compiled: Any = torch.compile(special, fullgraph=True, backend="eager", dynamic=True)
    for sizes in ([40, 30, 200], [111], [64, 64, 64, 99]):
        text, documents = torch.randint(0, 31, (1, sum(sizes))), {"text": rows(sizes)}
        found = compiled(text=text, documents=documents).heads.next
        assert torch.equal(found, special(text=text, documents=documents).heads.next)


def test_exported_programs_take_other_documents(path: Path) -> None:
    class Plain(nn.Module):
        """Tensors in, a tensor out."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = model(path).eval()

        def forward(self, text: Tensor, document: Tensor) -> Tensor:
            """Logits."""
            logits: Tensor = self.inner(text=text, documents={"text": document}).heads.next
            return logits

    plain = Plain()
    tokens = torch.export.Dim("tokens", min=3, max=1024)
    text, document = torch.randint(0, 31, (1, 270)), rows([40, 30, 200])
    shapes = {"text": {1: tokens}, "document": {1: tokens}}
    exported = torch.export.export(plain, (text, document), dynamic_shapes=shapes).module()
    for other in (document, rows([5, 265]), rows([300, 61])):
        text = torch.randint(0, 31, other.shape)
        torch.testing.assert_close(exported(text, other), plain(text, other))


def test_the_terms_are_in_the_package(tmp_path: Path, path: Path) -> None:
    files = driver.run(path, "emit").files
    assert "documents.between(0, 0), True" in files["attention.py"]
    assert "spans_ptr" in files["kernels.py"] and "runtime/tables.py" in files
    assert not any(re.search(r"^\s*(from|import) mmspec", t, re.MULTILINE) for t in files.values())


@pytest.mark.parametrize(
    ("mask", "tokens", "special"),
    [
        ("document", 2048, True),
        ("document & causal", 2048, True),
        ("document & causal", 256, True),
        ("document & causal", 255, False),
        ("~document", 2048, True),
        ("document | causal", 2048, True),
        ("random(blocks=2)", 2048, True),
        ("random(blocks=20)", 2048, True),
        ("random(blocks=2)", 200, False),
        ("random(blocks=2) & causal", 2048, True),
    ],
)
def test_packages_can_pass_over_tiles_where_that_may_pay(
    tmp_path: Path, mask: str, tokens: int, special: bool
) -> None:
    files = emitted(tmp_path / "spec.yaml", ONE.format(mask=mask, tokens=tokens))
    assert [name in files for name in ("runtime/sparse.py", "runtime/tables.py")] == [
        special,
        special,
    ]
