"""Sets of integers as intervals (start, stop), sorted and apart."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Intervals", "common", "joined", "without"]

Intervals = tuple[tuple[int, int], ...]


def joined(parts: Iterable[tuple[int, int]]) -> Intervals:
    """Their union; parts may be empty, overlap and come in any order."""
    found: list[tuple[int, int]] = []
    for start, stop in sorted(part for part in parts if part[0] < part[1]):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], stop)
        else:
            found.append((start, stop))
    return tuple(found)


def common(left: Intervals, right: Intervals) -> Intervals:
    """What lies in both."""
    found: list[tuple[int, int]] = []
    a = b = 0
    while a < len(left) and b < len(right):
        start, stop = max(left[a][0], right[b][0]), min(left[a][1], right[b][1])
        if start < stop:
            found.append((start, stop))
        if left[a][1] < right[b][1]:
            a += 1
        else:
            b += 1
    return tuple(found)


def without(left: Intervals, right: Intervals) -> Intervals:
    """What lies in the left one only."""
    if not left:
        return ()
    low, high = left[0][0], left[-1][1]
    ends = (low, *(end for part in right for end in part), high)
    gaps = joined(zip(ends[::2], ends[1::2], strict=True))
    return common(left, gaps)
