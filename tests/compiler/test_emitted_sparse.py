"""Models whose attention passes over tiles: the same as when every pair is computed."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from emitted_case import HALTING, ONE, compare, emitted, module, never_dense, twins

SPEC = """
mmspec: 1
name: long_{kind}
modalities:
  text: {{kind: tokens, vocab: 32, length: {{max: 900}}, position: rotary}}
  image: {{kind: image, size: [100, 72], patch: 4, position: sincos-2d, optional: true}}
  audio: {{kind: audio, features: 3, rate: 100 Hz, length: {{max: 600}}, patch: 2, optional: true}}
streams:
  text: {{from: text, depth: 1, width: 16, heads: 2, attention: causal & window(before=99)}}
  joint:
    from: [text, image, audio]
    depth: 1
    width: 16
    heads: 4
    kv_heads: 2
    halting: {{kind: {halting}}}
    attention:
      text -> text: causal & window(before=70) | global(1)
      text -> image: global(2)
      image -> image: window2d(1)
      audio -> audio: within(300 ms)
      audio -> text: prefix(3)
heads:
  label: {{from: joint, kind: classifier, classes: 3}}
"""
BY_HEADS = """
mmspec: 1
name: by_heads
modalities:
  clip: {kind: video, size: [24, 40], patch: 4, rate: 25 Hz, length: {max: 13}}
  sound: {kind: audio, features: 3, rate: 100 Hz, length: {max: 600}, optional: true}
  text: {kind: tokens, vocab: 32, length: {max: 560}, position: rotary}
streams:
  clip:
    from: clip
    depth: 2
    width: 24
    heads: 6
    kv_heads: 3
    attention:
      - {heads: 2, mask: window3d(1) | global(1)}
      - {heads: 2, mask: window2d(1)}
      - {heads: 2, mask: axial(frame)}
  sound: {from: sound, depth: 1, width: 24, heads: 2, attention: "dilated(step=3, reach=90)"}
  joint:
    from:
      fusion: cross-attention
      of: [text, clip, sound]
      heads: 3
      attention: {text -> clip: global(2), text -> sound: prefix(length=100)}
    depth: 1
    width: 24
    heads: 3
    attention: causal & window(before=60) | strided(16) & causal
heads:
  label: {from: joint, kind: classifier, classes: 3}
"""


def text(kind: str) -> str:
    found = SPEC.format(kind=kind, halting=HALTING.get(kind, "none"))
    return found.replace("    depth: 1\n    width", "    depth: 3\n    width").replace(
        "    halting: {kind: none}\n", ""
    )


@pytest.fixture
def both(tmp_path: Path, request: Any) -> tuple[Any, Any]:
    return twins(tmp_path / "spec.yaml", text(request.param))


def inputs(tokens: int, frames: int) -> dict[str, Any]:
    torch.manual_seed(tokens)
    return {
        "text": torch.randint(0, 32, (2, tokens)),
        "image": torch.randn(2, 3, 100, 72, dtype=torch.float64),
        "audio": torch.randn(2, frames, 3, dtype=torch.float64),
        "lengths": {
            "text": torch.tensor([tokens, tokens // 3]),
            "audio": torch.tensor([0, frames]),
        },
        "targets": {"label": torch.tensor([0, 2])},
    }


@pytest.mark.parametrize("both", ["plain", "ponder", "exit"], indirect=True)
@pytest.mark.parametrize("training", [True, False])
def test_outputs_and_gradients_are_those_of_all_pairs(
    both: tuple[Any, Any], training: bool
) -> None:
    for one in both:
        one.train(training)
    never_dense(both[0])
    compare(both, inputs(450, 300))
    compare(both, {**inputs(131, 77), "image": None, "audio": None, "lengths": None})


def test_heads_videos_and_fusions_have_patterns(tmp_path: Path) -> None:
    pair = twins(tmp_path / "spec.yaml", BY_HEADS, "tiles")
    source = inspect.getsource(module(pair[0], "attention"))
    assert re.search(r'"joint_fusion_mask", counts|joint_fusion_mask_blocks', source)
    assert {f"clip_mask_{place}_blocks" for place in (1, 2, 3)} <= set(re.findall(r"\w+", source))
    torch.manual_seed(1)
    for frames, sound, tokens in ((13, 600, 560), (5, 77, 131), (1, 0, 2)):
        given: dict[str, Any] = {
            "clip": torch.randn(2, frames, 3, 24, 40, dtype=torch.float64),
            "sound": torch.randn(2, sound, 3, dtype=torch.float64) if sound else None,
            "text": torch.randint(0, 32, (2, tokens)),
            "lengths": {"text": torch.tensor([tokens, 1]), "clip": torch.tensor([1, frames])},
            "targets": {"label": torch.tensor([0, 2])},
        }
        compare(pair, given)


@pytest.mark.parametrize("both", ["plain"], indirect=True)
def test_one_graph_for_every_length(both: tuple[Any, Any]) -> None:
    """As Dynamo sees it: `tests/models/test_models.py` has what becomes of a graph afterwards."""
    special = both[0].eval()
    compiled: Any = torch.compile(special, fullgraph=True, backend="eager")
    for tokens, frames in ((400, 90), (333, 81), (500, 200)):
        given = inputs(tokens, frames)
        assert torch.equal(compiled(**given).heads.label, special(**given).heads.label)


def test_the_loops_are_in_the_package(tmp_path: Path) -> None:
    files = emitted(tmp_path / "spec.yaml", text("plain"))
    assert {"runtime/sparse.py", "runtime/sparse_plan.py"} <= set(files)
    assert "yield max(i - 2, 0), i + 1, False" in files["attention.py"]
    assert not any(re.search(r"^\s*(from|import) mmspec", t, re.MULTILINE) for t in files.values())


@pytest.mark.parametrize(
    ("mask", "tokens", "auto", "tiles"),
    [
        ("causal & window(before=63)", 256, True, True),
        ("causal & window(before=63)", 255, False, True),
        ("window(before=1500, after=1500)", 2048, True, True),
        ("causal", 2048, False, True),
        ("causal & block(size=2048)", 2048, True, True),
        ("causal | prefix(length=1024)", 2048, True, True),
        ("block(size=1024) | global(count=128)", 2048, True, True),
        ("full", 2048, False, False),
        ("random(blocks=2)", 2048, True, True),
        ("dilated(step=16, reach=2048)", 2048, True, True),
        ("strided(step=2) | causal", 2048, True, True),
    ],
)
def test_packages_can_pass_over_tiles_where_that_may_pay(
    tmp_path: Path, mask: str, tokens: int, auto: bool, tiles: bool
) -> None:
    """Those of `sdpa` never: other formats are made from them."""
    spec = ONE.format(mask=mask, tokens=tokens)
    for backend, there in (("auto", auto), ("tiles", tiles), ("sdpa", False)):
        assert ("runtime/sparse.py" in emitted(tmp_path / "spec.yaml", spec, backend)) is there


@pytest.mark.parametrize("forced", ["", "0", "1"])
def test_plain_causal_by_tiles(
    forced: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of padding too, which no query before it sees; without native code by SDPA's own way."""
    monkeypatch.setenv("MMSPEC_TILES", forced)
    pair = twins(tmp_path / "spec.yaml", ONE.format(mask="causal", tokens=300), "tiles")
    torch.manual_seed(0)
    given = {
        "text": torch.randint(0, 8, (2, 200)),
        "lengths": {"text": torch.tensor([200, 77])},
        "targets": {"label": torch.tensor([0, 1])},
    }
    calls: list[bool] = []

    def noted(*tensors: Any, **options: Any) -> Any:
        calls.append(tensors[5])  # query, key, value, mask, dropout, is_causal
        return F.scaled_dot_product_attention(*tensors, **options)

    functions = {**vars(F), "scaled_dot_product_attention": noted}
    monkeypatch.setattr(module(pair[0], "runtime.sparse"), "F", SimpleNamespace(**functions))
    compare(pair, given)
    assert calls and all(calls) if forced != "1" else not calls
