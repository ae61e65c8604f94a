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

from mmspec import private
from mmspec.data import stamps
from mmspec.data.faults import fault
from mmspec.diagnostics import MmspecError, render, unwritable

PACKAGE: Final = "tuxpaint-stamps-default"
BY_HAND: Final = (
    f"on a machine that has it: `apt-get download {PACKAGE}`, then here: "
    f"python -m mmspec.data.fetch stamps {PACKAGE}_VERSION_all.deb"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch and unpack; exit 2 with what to do by hand where it cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m mmspec.data.fetch", description=__doc__)
    parser.add_argument("name", choices=["stamps"], help="the data set")
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        help="the package fetched by hand, or the folder it unpacks to",
    )
    given = parser.parse_args(arguments)
    try:
        fetch_stamps(given.file)
    except MmspecError as error:
        print(render(error.diagnostics, color=False), file=sys.stderr)
        return 2
    return 0


def fetch_stamps(file: Path | None = None) -> Path:
    """The folder of the stamps, filled the first time or from a package or folder that is given.

    Raises MmspecError: MM513 where they cannot be had, MM603 where they cannot be kept.
    """
    target = stamps.folder()
    if target.is_dir() and file is None:
        return target
    if private.cache() is None:
        message = f"{target} cannot be kept: the cache is not for this user alone, or not writable"
        raise fault("MM603", message, "MMSPEC_CACHE names another folder")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".stamps.", dir=target.parent) as fresh:
            _replace(target, _unpacked(file or _download(Path(fresh)), Path(fresh)), Path(fresh))
    except OSError as error:
        raise unwritable(target, error, "MMSPEC_CACHE names another folder") from None
    return target


def _unpacked(given: Path, fresh: Path) -> Path:
    """What a package or a folder holds, as a new folder in `fresh`; raises MM513 if not stamps."""
    found = fresh / "unpacked"
    if not given.exists():
        raise fault("MM513", f"there is no {given}", BY_HAND)
    print(f"unpacking {given.name}", file=sys.stderr)
    if given.is_dir():
        shutil.copytree(given, found)
    else:
        _run(["dpkg-deb", "-x", str(given.resolve()), str(found)], fresh)
    if not (found / stamps.INSIDE).is_dir():
        raise fault("MM513", f"{given} has no {stamps.INSIDE}", BY_HAND)
    return found


def _replace(target: Path, found: Path, fresh: Path) -> None:
    """Put a folder in the place of another, which goes with `fresh`."""
    if target.is_dir():
        target.rename(fresh / "old")
    found.rename(target)


def _download(folder: Path) -> Path:
    print(f"fetching {PACKAGE} (161 MB, GPL-2)", file=sys.stderr)
    _run(["apt-get", "download", PACKAGE], folder)
    return next(folder.glob(f"{PACKAGE}_*.deb"))


def _run(command: list[str], folder: Path) -> None:
    if shutil.which(command[0]) is None:
        raise fault(
            "MM513", f"{command[0]} is not on this machine (Debian and Ubuntu have it)", BY_HAND
        )
    done = subprocess.run(  # apt-get tells on stdout how far it is
        command, cwd=folder, stdout=2, stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise fault("MM513", f"`{' '.join(command[:2])}` failed: {said}", BY_HAND)


if __name__ == "__main__":
    sys.exit(main())
