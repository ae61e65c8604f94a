"""Emitted Triton kernels: right under the interpreter, and small enough for real targets."""

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
from large import is_deep, part
from targets import only, targets

from mmspec.compiler import aot, driver
from mmspec.compiler.emit.package import Package

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SPEC = """
mmspec: 1
name: long
modalities:
  text: {{kind: tokens, vocab: 32, length: {{max: 4096}}}}
  image: {{kind: image, size: [256, 256], patch: 8, optional: true}}
streams:
  text:
    from: text
    depth: 1
    width: {width}
    heads: 2
    attention: causal & window(before=255)
  image: {{from: image, depth: 1, width: {width}, heads: 2, attention: window2d(3)}}
heads:
  label: {{from: text, kind: classifier, classes: 3}}
  other: {{from: image, kind: classifier, classes: 3}}
"""

TIMES = """
mmspec: 1
name: times
modalities:
  sound: {{kind: audio, features: 3, rate: 100 Hz, length: {{max: 3000}}}}
  pulse: {{kind: series, features: 3, rate: {rate}, length: {{max: 3000}}}}
streams:
  both:
    from: [sound, pulse]
    depth: 1
    width: 32
    heads: 2
    attention: {{sound -> pulse: within(50 ms), pulse -> pulse: causal}}
heads:
  label: {{from: both, kind: classifier, classes: 3}}
"""


@lru_cache(maxsize=2)
def interpreted(half: int) -> dict[str, list[float]]:
    """Errors by case, as shares of what rounding explains; in a process whose triton interprets."""
    with TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "TRITON_INTERPRET": "1",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
        }
        command = [sys.executable, "-W", "ignore", str(HERE / "interpreted.py"), folder, str(half)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, list[float]] = json.loads(done.stdout)
    return found


@pytest.mark.deep
@pytest.mark.parametrize(("half", "count"), part([(0, 17), (1, 16)], [(0, 13), (1, 13)]))
def test_forward_and_backward_equal_float64(half: int, count: int) -> None:
    """In halves, for two processes at once."""
    found = interpreted(half)
    assert len(found) == count
    for case, errors in found.items():
        if "slipped" in case:
            assert errors[0] > 1 and max(errors[2:]) > 1, (case, errors)
        else:
            assert max(errors) <= 1, (case, errors)


def package(tmp_path: Path, width: int) -> Package:
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC.format(width=2 * width))
    found: Package = driver.run(path, "emit")
    return found


@pytest.mark.deep
@pytest.mark.slow
@pytest.mark.parametrize("width", part([64, 128], [128]))
def test_nothing_is_spilled(tmp_path: Path, width: int) -> None:
    """Text for every target, an image for one; what is half as wide takes fewer registers."""
    whole, on = package(tmp_path, width), {"text": aot.TARGETS, "image": targets(1)}
    found = [one for stream in on for one in aot.readings(only(whole, stream), on[stream])]
    assert {(one.kernel, one.target) for one in found} == {
        (f"{stream}_mask_{kernel}", target)
        for stream in on
        for kernel in ("forward", "backward_q", "backward_k")
        for target in on[stream]
    }
    products = {80: "mma.sync", 90: "wgmma", 100: "tcgen05.mma"}
    for one in found:
        assert one.fits, one
        assert one.registers <= 255 and one.shared > 0
        assert one.instruction in products.values(), one
        if "forward" in one.kernel:
            assert one.instruction == products[one.target], one


def test_whole_tiles_are_read_without_a_look_at_the_mask(tmp_path: Path) -> None:
    text = package(tmp_path, 64).files["kernels.py"]
    loops = re.findall(r"for j in tl\.range\(max\(i - 3, 0\), i\):\n((?: {8}.*\n)+)", text)
    assert loops and all("<= 255" not in body for body in loops)
    assert "seen = (k <= q) & (q - k <= 255)\n" in text
    assert "seen = seen & (keys < there_text)[None, :]\n" in text


SHIPPED = sorted((ROOT / "specs").glob("*.yaml"))
UNLIKE = {
    ROOT / "specs" / f"{name}.yaml": at
    for name, at in {"alibi": 1, "hierarchical": 2, "sliding": 2, "video": 0}.items()
}
"""Slopes, rates, a window, boxes of a video; each with the target that it is made for."""
LONGEST = {"hierarchical": "audio_local", "video": "scene"}
"""The mask with the longest kernels, where there are several."""


@pytest.mark.deep
@pytest.mark.slow
@pytest.mark.parametrize("path", part(SHIPPED, [*UNLIKE]), ids=lambda path: str(path.stem))
def test_every_kernel_of_a_shipped_spec_fits(path: Path) -> None:
    """Every mask as a kernel, for one target of three: the shared memory is there.

    Of four specs the longest; in `make deep` of all, for all targets.

    Heads of the shipped specs are narrow (8 to 25): there the assembler may keep two or three
    numbers elsewhere to let more programs run at once. Wide ones spill nothing, see above.
    """
    on = targets(UNLIKE.get(path, 0))
    whole = driver.run(path, "emit", backend="tiles")
    found = list(aot.readings(whole if is_deep() else only(whole, LONGEST.get(path.stem, "")), on))
    assert found
    for one in found:
        assert one.spills <= aot.FEW and one.shared <= aot.SHARED[one.target], one


def test_no_atomics_and_no_block_pointers(tmp_path: Path) -> None:
    files = package(tmp_path, 64).files
    for name in ("kernels.py", "runtime/tiles.py"):
        assert not re.search(r"atomic|make_block_ptr|boundary_check|squeeze", files[name])


def test_64_bits_are_taken_where_times_pass_32(tmp_path: Path) -> None:
    """3000 ticks of 100 Hz beside some of 100.000007 Hz: 3000 * 100000007 > 2**31."""
    path = tmp_path / "spec.yaml"
    for rate, is_wide in {"100.000007 Hz": True, "25 Hz": False}.items():
        path.write_text(TIMES.format(rate=rate))
        text = driver.run(path, "emit").files["kernels.py"]
        assert ("tile = tl.program_id(0).to(tl.int64)" in text) is is_wide
        assert ("q = tl.cast(queries[:, None], tl.int64)" in text) is is_wide
