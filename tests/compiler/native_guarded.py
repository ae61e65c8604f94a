"""Native attention on tensors that end where memory ends: a process that reads beyond them dies."""

from __future__ import annotations

import ctypes
import itertools
import mmap

import pytest
import torch
from native_case import computed, inputs, only_native
from test_parts_sparse import pattern
from torch import Tensor


def at_the_end(x: Tensor) -> Tensor:
    """The same, its last byte the last before a page that nobody may read."""
    count = x.numel() * x.element_size()
    size = -(-count // mmap.PAGESIZE) * mmap.PAGESIZE
    pages = mmap.mmap(-1, size + mmap.PAGESIZE)
    guard = ctypes.addressof(ctypes.c_char.from_buffer(pages)) + size
    forbidden = ctypes.CDLL(None).mprotect(ctypes.c_void_p(guard), mmap.PAGESIZE, 0)
    assert forbidden == 0
    moved = torch.frombuffer(pages, dtype=x.dtype, count=x.numel(), offset=size - count)
    return moved.view(x.shape).copy_(x)


def main() -> None:
    """Says how many attentions went well."""
    q, k = torch.arange(37)[:, None], torch.arange(43)
    name = pattern(((q - k).abs() < 9) | (k > 40), 16)
    done = 0
    with pytest.MonkeyPatch.context() as patched:
        only_native(patched)
        for width, dtype in itertools.product(
            (1, 15, 16, 20, 33, 64), (torch.float32, torch.bfloat16)
        ):
            given = [x.to(dtype) for x in inputs((37, 43), batch=2, widths=(width, width))]
            valid = at_the_end((torch.arange(43) % 5 > 0).expand(2, -1))
            moved = [at_the_end(x) for x in given]
            plain, found = (computed(x, (name, ()), valid) for x in (given, moved))
            assert all(map(torch.equal, plain, found))
            done += 1
    print(done)


if __name__ == "__main__":
    main()
