"""Where a run computes."""

from __future__ import annotations

import warnings

from mmspec.diagnostics import Diagnostic, MmspecError, suggest


def check_device(name: str) -> None:
    """Raise MM617 unless torch can compute on the device."""
    import torch

    reason = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some names are known, and deprecated
            found = torch.ones(1, device=name) + 1
        works = found.device.type != "meta" and float(found) == 2
    except Exception as error:  # noqa: BLE001 - each kind of device fails in its own way
        works = False
        if name.startswith("cuda"):
            reason = f": {' '.join(str(error).split())[:100]}"
    if works:
        return
    there = ["cpu"]
    if torch.cuda.is_available():
        there += ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        there.append("mps")
    close = suggest(name, there)
    advice = f"did you mean `{close}`? " if close else ""
    message = f"torch {torch.__version__} cannot compute on `{' '.join(name.split())}`{reason}"
    help_text = f"{advice}there is {', '.join(there)}"
    raise MmspecError(Diagnostic("MM617", message, help=help_text))
