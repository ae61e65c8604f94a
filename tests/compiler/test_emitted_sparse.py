"""Models whose attention passes over tiles: the same as when every pair is computed."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import mmspec
from mmspec.compiler import driver

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
HALTING = {"ponder": "ponder, at_most: 3, prior: 0.4", "exit": "exit, head: label, threshold: 0.4"}


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


def two(path: Path, spec: str, backend: str = "auto") -> tuple[Any, Any]:
    """A model that passes over tiles, and one that does not; their weights are equal."""
    path.write_text(spec)
    torch.manual_seed(0)
    special = mmspec.compile(path, backend)().double()
    plain = mmspec.compile(path, "sdpa")().double()
    plain.load_state_dict(special.state_dict())
    assert not _is_sparse(plain) and _is_sparse(special)
    return special, plain


@pytest.fixture
def both(tmp_path: Path, request: Any) -> tuple[Any, Any]:
    return two(tmp_path / "spec.yaml", text(request.param))


def _is_sparse(module: nn.Module) -> bool:
    home = sys.modules[type(module).__module__]
    return hasattr(sys.modules[f"{home.__package__}.attention"], "sparse_attention")


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
    for tokens, frames in ((900, 600), (131, 77)):
        given = inputs(tokens, frames)
        outs = [one.train(training)(**given) for one in both]
        assert torch.allclose(outs[0].heads.label, outs[1].heads.label, rtol=0, atol=1e-12)
        if training:
            for one, out in zip(both, outs, strict=True):
                one.zero_grad()
                out.loss.backward()
            for name, value in both[0].named_parameters():
                other = both[1].get_parameter(name)
                assert torch.allclose(value.grad, other.grad, rtol=0, atol=1e-11), name
        absent = {**given, "image": None, "audio": None, "lengths": None}
        first, second = (one(**absent).heads.label for one in both)
        assert torch.allclose(first, second, rtol=0, atol=1e-12)


def test_heads_videos_and_fusions_have_patterns(tmp_path: Path) -> None:
    special, plain = two(tmp_path / "spec.yaml", BY_HEADS, "tiles")
    source = inspect.getsource(sys.modules[special.joint_fusion.attention.__module__])
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
        gradients = []
        for one in (special, plain):
            one.zero_grad()
            one(**given).loss.backward()
            gradients.append({n: p.grad for n, p in one.named_parameters() if p.grad is not None})
        assert gradients[0].keys() == gradients[1].keys()
        for name, found in gradients[0].items():
            assert torch.allclose(found, gradients[1][name], rtol=0, atol=1e-11), name
        first, second = (one(**given).heads.label for one in (special, plain))
        assert torch.allclose(first, second, rtol=0, atol=1e-12)


@pytest.mark.parametrize("both", ["plain"], indirect=True)
def test_one_graph_for_every_length(both: tuple[Any, Any]) -> None:
    special = both[0].eval()
    compiled: Any = torch.compile(special, fullgraph=True, backend="aot_eager")
    for tokens, frames in ((400, 90), (333, 81), (500, 200)):
        given = inputs(tokens, frames)
        assert torch.equal(compiled(**given).heads.label, special(**given).heads.label)


def test_the_loops_are_in_the_package(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(text("plain"))
    files = driver.run(path, "emit").files
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
    path = tmp_path / "spec.yaml"
    path.write_text(f"""
mmspec: 1
name: one
modalities: {{text: {{kind: tokens, vocab: 9, length: {{max: {tokens}}}}}}}
streams: {{text: {{from: text, depth: 1, width: 8, heads: 1, attention: "{mask}"}}}}
heads: {{label: {{from: text, kind: classifier, classes: 2}}}}
""")
    assert ("sparse.py" in driver.run(path, "emit").files) is special
