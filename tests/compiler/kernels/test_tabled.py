"""Emitted Triton kernels of masks with tables: right, and small enough for real targets."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from large import is_deep
from targets import only, targets

from mmspec.compiler import aot, driver
from mmspec.compiler.emit.package import Package

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SPEC = """
mmspec: 1
name: packs
modalities:
  text: {{kind: tokens, vocab: 32, length: {{max: 4096}}}}
  sound: {{kind: audio, features: 3, rate: 100 Hz, length: {{max: 2000}}, optional: true}}
streams:
  text: {{from: text, depth: 1, width: {width}, heads: 2, attention: document & causal}}
  joint:
    from: [text, sound]
    depth: 1
    width: {width}
    heads: 2
    attention:
      text -> text: document & causal
      text -> sound: document
      sound -> sound: random(2) | block(64)
heads:
  label: {{from: text, kind: classifier, classes: 3}}
  other: {{from: joint, kind: classifier, classes: 3}}
"""


@lru_cache(maxsize=1)
def interpreted() -> dict[str, tuple[float, list[float]]]:
    """By case share of visible pairs and errors, of a process whose triton interprets."""
    with TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "TRITON_INTERPRET": "1",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
        }
        command = [sys.executable, "-W", "ignore", str(HERE / "tabled.py"), folder]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, tuple[float, list[float]]] = json.loads(done.stdout)
    return found


@pytest.mark.deep
def test_forward_and_backward_equal_float64() -> None:
    found = interpreted()
    assert len(found) == (17 if is_deep() else 14)
    for case, (share, errors) in found.items():
        assert 0.01 < share < 0.95, case
        assert max(errors) <= (2e-2 if "float16" in case else 1e-5), (case, errors)


def package(tmp_path: Path, width: int) -> Package:
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC.format(width=2 * width))
    found: Package = driver.run(path, "emit", backend="tiles")
    return found


@pytest.mark.deep
@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "stream", "on"), [(64, "joint", targets(2)), (128, "text", aot.TARGETS)]
)
def test_nothing_is_spilled(tmp_path: Path, width: int, stream: str, on: tuple[int, ...]) -> None:
    found = list(aot.readings(only(package(tmp_path, width), stream), on))
    assert {(one.kernel, one.target) for one in found} == {
        (f"{stream}_mask_{kernel}", target)
        for kernel in ("forward", "backward_q", "backward_k")
        for target in on
    }
    for one in found:
        assert one.fits, one
        assert one.instruction != "none", one


def test_tiles_inside_the_documents_of_all_are_read_without_a_look_at_them(tmp_path: Path) -> None:
    text = package(tmp_path, 64).files["kernels.py"]
    forward = text[text.index("def text_mask_forward") : text.index("def text_mask_backward_q")]
    border, whole = re.findall(r"for . in tl\.range\((.*)\):\n((?: {8}.*\n)+)", forward)
    assert border[0] == "0, left - start + stop - right" and whole[0] == "left, right"
    assert "document = (begin <= k) & (k < end)" in border[1] and "(k <= q) & document" in border[1]
    assert "seen = (keys < there_text)[None, :]\n" in whole[1] and "begin" not in whole[1]


def test_no_atomics_and_nothing_of_the_host(tmp_path: Path) -> None:
    files = package(tmp_path, 64).files
    assert not re.search(r"atomic|make_block_ptr", files["kernels.py"])
    assert not re.search(r"\.item\(|\.tolist\(|\.cpu\(", files["runtime/launch.py"])


def test_blocks_that_are_looked_up_are_read_in_statements_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    mask = 'attention: "causal & (random(2) | window(before=20)) | causal & global(1)"'
    path.write_text(SPEC.format(width=16).replace("attention: document & causal}", f"{mask}}}"))
    text = driver.run(path, "emit").files["kernels.py"]
    assert max(map(len, text.splitlines())) <= 100
    assert "draws_ptr + 0" not in text
    forward = text[text.index("def text_mask_forward") : text.index("def text_mask_backward_q")]
    assert "picked = tl.load(draws_ptr + i * 2 + place, mask=place < 2, other=-1)\n" in forward
    assert "drawn_1 = tl.max((picked == j).to(tl.int32), 0) > 0\n" in forward
