"""Packed documents: what they give is what each gives alone; who crosses them is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import mmspec
from mmspec.cli.main import main
from mmspec.compiler.lower.lower import lower
from mmspec.compiler.lower.packing import notes
from mmspec.verify.reference.packing import moves, separate
from mmspec.verify.strategies import load

LM = """
mmspec: 1
name: papers
modalities:
  text: {{kind: tokens, vocab: 31, length: {{max: 64}}, position: {position}}}
streams:
  text: {{from: text, depth: 2, width: 16, heads: 2, attention: "{mask}"}}
heads:
  next: {{from: text, kind: language-model}}
"""
APART = (
    "causal & document",
    "document & window(before=3)",
    "(document & causal) & ~dilated(step=2, reach=6) | document & window(before=0)",
    "causal & (document | none)",
    "causal & (document | window(before=0))",
    "causal & (document | causal & ~window(before=100))",
)
"""Of 64 tokens none is seen outside of its document."""
CROSSING = (
    "causal & (document | global(1))",
    "causal & ~document",
    "causal & (document | ~window(before=10))",
    "causal & (document | random(1))",
)
NOTHING = ("causal", "causal & (document | full)")
ABSOLUTE = (
    "causal & document & block(4)",
    "causal & document & prefix(3)",
    "causal & document & random(1)",
)


def model_of(path: Path, text: str, backend: str = "auto") -> Any:
    """A model with weights that matter."""
    path.write_text(text)
    torch.manual_seed(0)
    model = mmspec.compile(path, backend)().double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.mark.parametrize("backend", ["sdpa", "tiles"])
@pytest.mark.parametrize("position", ["learned", "sincos", "rotary"])
def test_packed_is_separate(position: str, backend: str, tmp_path: Path) -> None:
    text = LM.format(position=position, mask="causal & document")
    model = model_of(tmp_path / "papers.yaml", text, backend)
    ids = torch.randint(31, (1, 40), generator=torch.Generator().manual_seed(1))
    pieces = ids[:, :37].split([13, 1, 23], dim=1)
    numbers = torch.tensor([[7] * 13 + [-2] + [0] * 23 + [7] * 3])
    given = {"lengths": {"text": torch.tensor([37])}, "targets": {"next": ids}}
    whole = model(text=ids, documents={"text": numbers}, **given)
    alone = [model(text=piece, targets={"next": piece}) for piece in pieces]
    expected = torch.cat([one.heads.next for one in alone], dim=1)
    torch.testing.assert_close(whole.heads.next[:, :37], expected, rtol=0, atol=1e-12)
    total = sum(one.loss * (piece.shape[1] - 1) for one, piece in zip(alone, pieces, strict=True))
    torch.testing.assert_close(whole.loss * 34, total, rtol=0, atol=1e-12)
    one = model(text=ids, **given)
    assert (one.heads.next[:, 13:37] - expected[:, 13:]).abs().max() > 1e-3


def test_in_a_model_of_which_some_head_crosses_positions_and_losses_run_on(tmp_path: Path) -> None:
    mask = "causal & (document | global(1))"
    model = model_of(tmp_path / "x.yaml", LM.format(position="learned", mask=mask))
    ids = torch.randint(31, (1, 12), generator=torch.Generator().manual_seed(1))
    numbers = torch.tensor([[0] * 5 + [1] * 7])
    out = model(text=ids, documents={"text": numbers}, targets={"next": ids})
    expected = torch.nn.functional.cross_entropy(out.heads.next[0, :-1], ids[0, 1:])
    torch.testing.assert_close(out.loss, expected)
    first = model(text=ids[:, 5:]).heads.next
    assert (first - out.heads.next[:, 5:]).abs().max() > 1e-3


@pytest.mark.parametrize("backend", ["sdpa", "tiles"])
def test_documents_that_go_on_after_others_are_refused_by_name(
    backend: str, tmp_path: Path
) -> None:
    model = model_of(
        tmp_path / "x.yaml", LM.format(position="rotary", mask="causal & document"), backend
    )
    apart = torch.tensor([[0] * 6, [1, 1, 2, 2, 1, 1]])
    with pytest.raises(ValueError, match=r"documents of text: in sample 1 a document goes on"):
        model(text=apart, documents={"text": apart})
    padded = {"text": torch.tensor([6, 4])}
    model(text=apart, documents={"text": apart}, lengths=padded)
    model(text=apart, documents={"text": apart}, lengths={"text": torch.tensor([0, 0])})
    model(text=apart[:, :0], documents={"text": apart[:, :0]})


@pytest.mark.parametrize("mask", [*APART, *CROSSING, *ABSOLUTE, *NOTHING])
def test_what_separates_is_what_the_reference_says(mask: str) -> None:
    text = LM.format(position="learned", mask=mask)
    spec = load(text.replace("max: 64", "max: 128") if "random" in mask else text)
    plan = lower(spec)
    assert set(plan.separate) == separate(spec)
    assert bool(plan.separate) == (mask in APART + ABSOLUTE)
    assert moves(spec) == (mask in NOTHING or mask not in ABSOLUTE)
    assert len(notes(plan)) == (mask in CROSSING + ABSOLUTE)


SEVERAL = """
mmspec: 1
name: several
modalities:
  text: {kind: tokens, vocab: 31, length: {max: 64}}
  audio: {kind: audio, features: 3, rate: 50 Hz, length: {max: 64}}
  image: {kind: image, size: [4, 6], patch: 2}
streams:
  text: {from: text, depth: 1, width: 16, heads: 2, attention: document}
  joint: {from: JOINT, depth: 1, width: 16, heads: 2, attention: ATTENTION, norm: NORM}
heads:
  label: {from: joint, kind: classifier, classes: 3}
"""


@pytest.mark.parametrize(
    ("joint", "attention", "halting", "expected"),
    [
        ("[text, image]", "{text -> text: document, text -> image: full}", "", True),
        ("[text, image]", "{text -> text: document, image -> text: full}", "", False),
        ("[text, audio]", "{text -> audio: document, audio -> audio: causal}", "", False),
        ("[text, audio]", "{text -> audio: document, audio -> audio: document}", "", True),
        ("[text, image]", "{text -> text: document}", "{kind: ponder, at_most: 2, prior: 0.5}", 0),
        ("[text, image]", "{text -> text: document}", "{kind: ponder, at_most: 1, prior: 0.5}", 1),
        ("{fusion: gated, of: [text, image]}", "{text -> text: document}", "", False),
        ("{fusion: attention, queries: 2, of: [text, image]}", "full", "", False),
        ("{fusion: transformer, of: [text, image]}", "{text -> text: document}", "", False),
        ("{fusion: film, of: [text, image]}", "{text -> text: document}", "", True),
        ("{fusion: film, of: [image, text]}", "full", "", False),
        ("{fusion: cross-attention, of: [image, text]}", "full", "", False),
        ("{fusion: cross-attention, of: [text, image]}", "document", "", True),
        (
            "{fusion: cross-attention, of: [text, audio], attention: document}",
            "document",
            "",
            True,
        ),
    ],
)
def test_who_else_reads_several_documents(
    joint: str, attention: str, halting: str, expected: bool
) -> None:
    more = f"rms, halting: {halting}" if halting else "rms"
    text = SEVERAL.replace("JOINT", joint).replace("ATTENTION", attention).replace("NORM", more)
    for name in ("audio", "image"):
        if name not in joint:
            text = "\n".join(line for line in text.split("\n") if not line.startswith(f"  {name}:"))
    spec = load(text)
    assert bool(lower(spec).separate) == bool(expected) == bool(separate(spec))
    assert notes(lower(spec)), "a classifier reads all documents, or a token does"


def test_check_says_where_packed_is_not_separate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMSPEC_CACHE", str(tmp_path))
    path = tmp_path / "x.yaml"
    path.write_text(LM.format(position="learned", mask="causal & document & block(4)"))
    for _ in range(2):  # the second time from what is remembered
        main(["check", str(path)])
        said = capsys.readouterr().out.splitlines()
        assert said[0].endswith("fine (1 modality, 1 stream, 1 head)")
        assert said[1].startswith("note: line 7: in stream `text`, text sees text by")
        assert "counts from the start of the sample" in said[1] and len(said) == 2
