"""Brings a data set that no Python package holds: `python -m mmspec.data.fetch stamps`."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mmspec.data import stamps
from mmspec.data.faults import fault
from mmspec.diagnostics import MmspecError, render

PACKAGE: Final = "tuxpaint-stamps-default"
BY_HAND: Final = (
    f"on a machine that has it: `apt-get download {PACKAGE}`, then here: "
    f"python -m mmspec.data.fetch stamps {PACKAGE}_VERSION_all.deb"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch and unpack; exit 2 with what to do by hand where it cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m mmspec.data.fetch", description=__doc__)
    parser.add_argument("name", choices=["stamps"], help="the data set")
    parser.add_argument("file", nargs="?", type=Path, help="a package that was fetched by hand")
    given = parser.parse_args(arguments)
    try:
        fetch_stamps(given.file)
    except MmspecError as error:
        print(render(error.diagnostics, color=False), file=sys.stderr)
        return 2
    return 0


def fetch_stamps(file: Path | None = None) -> Path:
    """The folder of the stamps, filled the first time; raises MmspecError (MM513)."""
    target = stamps.folder()
    if target.is_dir() and file is None:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".stamps.", dir=target.parent))
    try:
        package = file or _download(fresh)
        print(f"unpacking {package.name}", file=sys.stderr)
        _run(["dpkg-deb", "-x", str(package.resolve()), str(fresh / "unpacked")], fresh)
        if target.is_dir():
            shutil.rmtree(target)
        (fresh / "unpacked").rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return target


def _download(folder: Path) -> Path:
    print(f"fetching {PACKAGE} (161 MB, GPL-2)", file=sys.stderr)
    _run(["apt-get", "download", PACKAGE], folder)
    return next(folder.glob(f"{PACKAGE}_*.deb"))


def _run(command: list[str], folder: Path) -> None:
    if shutil.which(command[0]) is None:
        raise fault(
            "MM513", f"{command[0]} is not on this machine (Debian and Ubuntu have it)", BY_HAND
        )
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise fault("MM513", f"`{' '.join(command[:2])}` failed: {said}", BY_HAND)


if __name__ == "__main__":
    sys.exit(main())
