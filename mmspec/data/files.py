"""Files that rows name, read into raw values; MM501 where one cannot be."""

from __future__ import annotations

import csv
import io
import re
from array import array as doubles
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from mmspec.data import container, endings, numerals
from mmspec.data.faults import UnreadableError, decoding, fault, package_missing
from mmspec.data.paths import present
from mmspec.data.source import Waveform

if TYPE_CHECKING:
    from soundfile import SoundFile

_ARRAYS: Final = (".npy", ".csv")
_MAGIC: Final = b"\x93NUMPY"
_HEADERS: Final = {
    "Python objects": "it holds objects, not numbers",
    "mmap length": "its header promises more than the file holds",
}
"""What the errors of numpy mean."""
_GAPS: Final = frozenset("#n/a n/a na null none nil missing #div/0! #num! #value! #ref!".split())
_TRUTH: Final = frozenset("true false yes no".split())
"""What stands where a number is missing or should be one, so that it is no name of a column."""
_NAME: Final = re.compile(r"[\W_]*[^\W\d_]")
"""A letter, before any digit: `−1`, `1,5`, `$3`, `10:00` and `2 m` are numbers to people."""
_BITS: Final = 1023
"""No float holds a whole number of more."""
_BLOCK: Final = 1 << 18
"""Samples that are read at a time."""


def text(path: Path) -> str:
    """A UTF-8 text file as it is, its line ends too."""
    with decoding(path):
        return present(path).read_bytes().decode("utf-8-sig")


def image(path: Path, size: tuple[int, int] | None = None) -> NDArray[Any]:
    """Pixels [H, W] or [H, W, C] of a picture, upright; needs pillow. `.npy`: the array.

    A JPEG much larger than `size` is reduced while it is decoded: no side to less than
    four times the size.
    """
    if path.suffix.lower() == ".npy":
        return array(path)
    try:
        import PIL
    except ImportError:
        raise package_missing("pillow", f"reading {path}") from None
    assert PIL
    from mmspec.data import pictures

    with decoding(path):
        return pictures.read(present(path), size)


def sound(path: Path) -> Waveform | NDArray[Any]:
    """A recording, channels averaged; needs soundfile. `.npy` or `.csv`: features as they are."""
    if path.suffix.lower() in _ARRAYS:
        return array(path)
    try:
        import soundfile
    except ImportError:
        raise package_missing("soundfile", f"reading {path}") from None
    with decoding(path, "replace the file, or convert it: ffmpeg -i OLD NEW.wav"):
        if found := container.fault(present(path)):
            raise ValueError(found)
        opened = soundfile.SoundFile(path)
        return Waveform(_Recording(path, opened), int(opened.samplerate))


class _Recording:
    """Samples of a file, its channels averaged, read block by block as they are asked for."""

    def __init__(self, path: Path, opened: SoundFile) -> None:
        self._path, self._opened = path, opened
        self._total = int(opened.frames)
        self._start, self._kept = 0, np.zeros(0, np.float32)

    def __len__(self) -> int:
        """As the file says."""
        return self._total

    def __getitem__(self, part: slice) -> NDArray[np.float32]:
        """The samples of a part; what lies before it is forgotten, so no later one starts there."""
        assert part.start >= self._start, part
        blocks = [self._kept]
        end = self._start + len(self._kept)
        while end < min(part.stop, self._total):
            blocks.append(self._block(end))
            end += len(blocks[-1])
        samples = np.concatenate(blocks)
        self._start, self._kept = part.start, samples[part.start - self._start :]
        return self._kept[: part.stop - part.start]

    def _block(self, start: int) -> NDArray[np.float32]:
        with decoding(self._path):
            size = max(1, _BLOCK // self._opened.channels)
            samples = self._opened.read(size, dtype="float32", always_2d=True)
            if not len(samples):
                raise ValueError(f"it is cut: {start:,} of {self._total:,} samples are there")
            mono: NDArray[np.float32] = samples.mean(1, dtype=np.float64).astype(np.float32)
            return mono


def array(path: Path) -> NDArray[Any]:
    """An array from `.npy`, or the numbers of a `.csv`, whose first line may be a header."""
    if path.suffix.lower() not in _ARRAYS:
        message = f"`{path}` is not an array: {' and '.join(_ARRAYS)} are read"
        raise fault("MM501", message, endings.to_array(path))
    with decoding(path):
        read = _numpy if path.suffix.lower() == ".npy" else _table
        return read(present(path))


def _numpy(path: Path) -> NDArray[Any]:
    """The array of a `.npy` file, never an object; ValueError where it holds no plain numbers."""
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ValueError("it is no .npy file")
    try:
        np.load(path, mmap_mode="r", allow_pickle=False)  # holds the header to the file's size
    except ValueError as error:
        reason = next((said for part, said in _HEADERS.items() if part in str(error)), error)
        raise ValueError(reason) from None
    except Exception:  # noqa: BLE001 - it is parsed as Python, and raises as that does
        raise ValueError("its header is damaged") from None
    return np.asarray(np.load(path, allow_pickle=False))


def _table(path: Path) -> NDArray[Any]:
    """Numbers [rows, columns] as float64; ValueError with the line that holds something else."""
    content = text(path)
    mark = endings.mark_of(content[: content.find("\n")])
    try:
        return _numbers(content)
    except ValueError as error:
        if mark:
            raise UnreadableError(str(error), endings.from_marks(path, mark)) from None
        raise


def _numbers(content: str) -> NDArray[Any]:
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    values, width, blank, start = doubles("d"), 0, 0, 1
    for cells in reader:
        line, start = start, reader.line_num + 1
        if not cells:
            blank = blank or line
            continue
        if blank:
            raise ValueError(f"line {blank} is empty")
        if width and len(cells) != width:
            raise ValueError(f"line {line}: {len(cells)} cells, and {width} before it")
        if width or not _is_header(cells):
            values.extend([_number(line, cell) for cell in cells])
        width = len(cells)
    if not values:
        raise ValueError("it has no numbers")
    return np.array(values, np.float64).reshape(-1, width)


def _is_header(cells: list[str]) -> bool:
    """Whether a first line names the columns: each cell a different name, none a number or gap."""
    names = {cell.strip().casefold() for cell in cells}
    words = all(_NAME.match(cell) and numerals.number(cell) is None for cell in cells)
    return len(names) == len(cells) and words and names.isdisjoint(_GAPS | _TRUTH)


def _number(line: int, cell: str) -> float:
    found = numerals.number(cell)
    if found is None:
        shown = f"`{cell[:40]}` is no number" if cell.strip() else "an empty cell"
        raise UnreadableError(f"line {line}: {shown}", numerals.remedy(cell))
    if isinstance(found, int) and (found.bit_length() > _BITS or float(found) != found):
        raise ValueError(f"line {line}: `{cell[:40]}` has more digits than a number keeps")
    return float(found)
