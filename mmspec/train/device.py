"""Where a run computes."""

from __future__ import annotations

import torch

from mmspec.diagnostics import Diagnostic, MmspecError


def check_device(name: str) -> None:
    """Raise MM617 unless torch can compute on the device."""
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        message = f"cannot compute on `{name}`: {str(error).splitlines()[0]}"
        raise MmspecError(Diagnostic("MM617", message, help="leave --device out")) from None
