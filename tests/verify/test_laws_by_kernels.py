"""Laws catch what is planted in Triton kernels, in a process whose triton interprets them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from large import part

from mmspec.verify.faults import FAULTS

PLANTED = [fault.id for fault in FAULTS if fault.id.startswith("kernel-")]
FEW = ["kernel-largest-starts-at-0", "kernel-takes-rows-as-they-lie"]
TRY = """
import json, sys
from mmspec.verify.faults import FAULTS
from mmspec.verify.lab.ways import interpret
from mmspec.verify.laws import Search
from mmspec.verify.self_test import try_fault
from mmspec.verify.verify import law_of

interpret()
asked = [fault for fault in FAULTS if fault.id in sys.argv[1:]]
tried = [try_fault(law_of(fault.laws[0]), fault, Search(50, 0, False)) for fault in asked]
print(json.dumps({trial.fault: [trial.caught, trial.detail] for trial in tried}))
"""


@pytest.mark.deep
@pytest.mark.slow
def test_a_fault_of_kernels_is_caught() -> None:
    """Some seconds for each, as each step of a kernel is interpreted: two, in `make deep` all."""
    asked = part(PLANTED, FEW)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TRY, *asked], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, tuple[bool, str]] = json.loads(done.stdout)
    assert set(found) == set(asked)
    for fault, (caught, detail) in found.items():
        assert caught and "by triton" in detail, (fault, detail)
