"""Kernels of a package compiled ahead of time, on a machine without a GPU: what they take.

python -m mmspec.compiler.aot specs/*.yaml      # every mask as a kernel, for sm_80, sm_90, sm_100
"""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mmspec.compiler.emit import runtime
from mmspec.compiler.emit.package import Package

TARGETS: Final = (80, 90, 100)
"""Compute capabilities of A100, H100 or H200, and B200."""

SHARED: Final = {80: 166_912, 90: 232_448, 100: 232_448}
"""Bytes of shared memory that a block may have there (CUDA C++ Programming Guide, table of
technical specifications)."""

_POINTERS: Final = {
    **dict.fromkeys(("valid_ptr", "spans_ptr", "draws_ptr"), "*i32"),
    **dict.fromkeys(("total_ptr", "delta_ptr", "relative_ptr"), "*fp32"),
}
"""Types of what is not a query, key, value or gradient."""

FEW: Final = 4
"""Spills of narrow heads that do no harm: the assembler lets more programs run for them."""

_LOADED: Final = "mmspec_ahead_of_time"


@dataclass(frozen=True, slots=True)
class Reading:
    """What the assembler made of one kernel for one target.

    spills: instructions that move registers to or from local memory. A stack alone is none: on
    sm_100 some kernels have 8 bytes of it that no instruction touches.
    """

    kernel: str
    target: int
    registers: int
    stack: int
    spills: int
    shared: int
    instruction: str
    """Of matrix products: mma.sync, wgmma or tcgen05.mma."""

    @property
    def fits(self) -> bool:
        """Whether nothing is spilled and the shared memory is there."""
        return self.spills == 0 and self.shared <= SHARED[self.target]


def readings(package: Package, targets: tuple[int, ...] = TARGETS) -> Iterator[Reading]:
    """Every kernel of a package for every target, inputs bfloat16; none where it has no kernels."""
    if "kernels.py" not in package.files:
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, f"{_LOADED}_{package.digest[:16]}")
        (place / runtime.FOLDER).mkdir(parents=True)
        (place / "__init__.py").touch()
        for name, text in package.files.items():
            if name.endswith(".py") and name != "__init__.py":
                (place / name).write_text(text, encoding="utf-8")
        sys.path.insert(0, folder)
        try:
            table = importlib.import_module(f"{place.name}.kernels").KERNELS
            for kernels in dict.fromkeys(table.values()):
                for kernel, warps in zip(kernels[:3], kernels.warps, strict=True):
                    for target in targets:
                        yield _read(kernel, target, warps, Path(folder))
        finally:
            sys.path.remove(folder)


def _read(kernel: Any, target: int, warps: int, folder: Path) -> Reading:
    from triton import compile as build
    from triton import knobs
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    types, constants, facts = _signature(kernel.arg_names)
    source = ASTSource(kernel, types, constants, facts)
    options = {"num_warps": warps, "num_stages": 2, "enable_fp_fusion": True}
    made = build(source, target=GPUTarget("cuda", target, 32), options=options)
    cubin = folder / "kernel.cubin"
    cubin.write_bytes(made.asm["cubin"])
    usage, code = (
        _dump(knobs.nvidia.cuobjdump.path, how, cubin) for how in ("-res-usage", "-sass")
    )
    found = {name: int(size) for name, size in re.findall(r"\b(REG|STACK):(\d+)", usage)}
    spills = len(re.findall(r"\b(?:STL|LDL)\b", code))
    products = ("tcgen05.mma", "wgmma", "mma.sync")
    instruction = next((name for name in products if name in made.asm["ptx"]), "none")
    sizes = found["REG"], found["STACK"], spills, int(made.metadata.shared)
    return Reading(kernel.__name__, target, *sizes, instruction)


def _dump(tool: str, how: str, cubin: Path) -> str:
    command = [tool, how, str(cubin)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _signature(names: list[str]) -> tuple[dict[str, str], dict[Any, Any], dict[Any, Any]]:
    """Types of the parameters, constants, and what is divisible by 16: pointers and strides."""
    types, facts = {}, {}
    for place, name in enumerate(names):
        if name == "HAS_VALID":
            types[name] = "constexpr"
        elif name.endswith("_ptr"):
            types[name] = _POINTERS.get(name, "*bf16")
        else:
            types[name] = "fp32" if name in ("scale", "plain_scale") else "i32"
        if name.endswith("_ptr") or re.fullmatch(r"d?[qkvgy]_[bht]", name):
            facts[(place,)] = [["tt.divisibility", 16]]
    return types, {(names.index("HAS_VALID"),): False}, facts


def main(paths: list[str]) -> int:
    """Print the table of some specs; 1 where a kernel spills or does not fit."""
    from mmspec.compiler import driver

    failed = False
    print(f"{'kernel':32} {'target':>6} {'registers':>9} {'spills':>6} {'shared':>7}  product")
    for path in paths:
        for one in readings(driver.run(path, "emit", backend="tiles")):
            failed |= one.shared > SHARED[one.target] or one.spills > FEW
            sizes = f"{one.registers:>9} {one.spills:>6} {one.shared:>7}"
            print(f"{one.kernel:32} sm_{one.target:<3} {sizes}  {one.instruction}")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
