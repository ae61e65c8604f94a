"""Models whose attention passes over tiles: the same as when every pair is computed."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from emitted_case import HALTING, ONE, compare, emitted, module, twins

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
    for tokens, frames in ((900, 600), (131, 77)):
        given = inputs(tokens, frames)
        compare(both, given)
        compare(both, {**given, "image": None, "audio": None, "lengths": None})


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
    special = both[0].eval()
    compiled: Any = torch.compile(special, fullgraph=True, backend="aot_eager")
    for tokens, frames in ((400, 90), (333, 81), (500, 200)):
        given = inputs(tokens, frames)
        assert torch.equal(compiled(**given).heads.label, special(**given).heads.label)


def test_the_loops_are_in_the_package(tmp_path: Path) -> None:
    files = emitted(tmp_path / "spec.yaml", text("plain"))
    assert {"sparse.py", "sparse_plan.py"} <= set(files)
    assert "yield max(i - 2, 0), i + 1, False" in files["attention.py"]
    assert not any(re.search(r"^\s*(from|import) mmspec", t, re.MULTILINE) for t in files.values())


@pytest.mark.parametrize(
    ("mask", "tokens", "special"),
    [
        ("causal & window(before=63)", 2048, True),
        ("causal & window(before=63)", 256, False),
        ("window(before=1500, after=1500)", 2048, False),
        ("causal", 2048, False),
        ("random(blocks=2)", 2048, True),
        ("dilated(step=2, reach=100)", 2048, True),
        ("dilated(step=16, reach=2048)", 2048, True),
        ("strided(step=2) | causal", 2048, False),
    ],
)
def test_tiles_are_passed_over_where_that_pays(
    tmp_path: Path, mask: str, tokens: int, special: bool
) -> None:
    files = emitted(tmp_path / "spec.yaml", ONE.format(mask=mask, tokens=tokens))
    assert ("sparse.py" in files) is special
