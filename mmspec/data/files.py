"""Files that rows name, read into raw values; MM501 where one cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mmspec.data.faults import fault, package_missing
from mmspec.data.source import Waveform
from mmspec.diagnostics import MmspecError, suggest

_ARRAYS: Final = (".npy", ".csv")
_MAGIC: Final = b"\x93NUMPY"


def text(path: Path) -> str:
    """A UTF-8 text file as it is."""
    try:
        return _present(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from None


def image(path: Path) -> NDArray[Any]:
    """Pixels [H, W] or [H, W, C] of a picture, upright; needs pillow. `.npy`: the array."""
    if path.suffix.lower() == ".npy":
        return array(path)
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise package_missing("pillow", f"reading {path}") from None
    try:
        with Image.open(_present(path)) as opened:
            upright = ImageOps.exif_transpose(opened)
            mode = _plain_mode(upright.mode, "transparency" in upright.info)
            return np.asarray(upright if mode == upright.mode else upright.convert(mode))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(path, error) from None


def _plain_mode(mode: str, is_transparent: bool) -> str:
    """The mode to convert to, so that each channel is a number of light."""
    if mode[:1] in ("I", "F") or mode in ("L", "LA", "RGB", "RGBA"):
        return "RGBA" if is_transparent and mode in ("L", "RGB") else mode
    if mode == "1":
        return "L"
    return "RGBA" if mode in ("PA", "RGBa") or is_transparent else "RGB"


def sound(path: Path) -> Waveform | NDArray[Any]:
    """A recording, channels averaged; needs soundfile. `.npy` or `.csv`: features as they are."""
    if path.suffix.lower() in _ARRAYS:
        return array(path)
    try:
        import soundfile
    except ImportError:
        raise package_missing("soundfile", f"reading {path}") from None
    try:
        samples, rate = soundfile.read(_present(path), dtype="float32", always_2d=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise _unreadable(path, error) from None
    return Waveform(np.asarray(samples, np.float32).mean(1), int(rate))


def array(path: Path) -> NDArray[Any]:
    """An array from `.npy`, or the numbers of a `.csv`, whose first line may be a header."""
    if path.suffix.lower() not in _ARRAYS:
        raise fault("MM501", f"`{path}` is not an array", f"use a file of {' or '.join(_ARRAYS)}")
    try:
        if path.suffix.lower() == ".npy":
            return _numpy(_present(path))
        return _table(_present(path))
    except (OSError, ValueError, EOFError) as error:
        raise _unreadable(path, error) from None


def _numpy(path: Path) -> NDArray[Any]:
    """The array of a `.npy` file, never an object; ValueError where it holds no plain numbers."""
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ValueError("it is no .npy file")
        file.seek(0)
        try:
            return np.asarray(np.load(file, allow_pickle=False))
        except ValueError as error:
            objects = "allow_pickle" in str(error)
            raise ValueError("it holds objects, not numbers" if objects else error) from None


def _table(path: Path) -> NDArray[Any]:
    """Numbers [rows, columns]."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    start = 1 if lines and not _is_numeric(lines[0]) else 0
    if len(lines) == start:
        raise ValueError("it has no numbers")
    return np.loadtxt(lines, np.float32, delimiter=",", ndmin=2, skiprows=start)


def _is_numeric(line: str) -> bool:
    try:
        return bool([float(cell) for cell in line.split(",")])
    except ValueError:
        return False


def _present(path: Path) -> Path:
    """The path, if a file is there."""
    if path.is_file():
        return path
    if path.is_dir():
        raise fault("MM501", f"`{path}` is a folder", "name a file in it")
    beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    close = suggest(path.name, beside)
    advice = f"did you mean {close}? " if close else ""
    raise fault("MM501", f"no file `{path}`", f"{advice}paths are relative to the manifest")


def _unreadable(path: Path, error: Exception) -> MmspecError:
    if isinstance(error, MmspecError):
        return error
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return fault("MM501", f"`{path}` cannot be read: {reason}", "convert or replace the file")
