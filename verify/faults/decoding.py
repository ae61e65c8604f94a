"""Faults of decoding: places, what is seen and kept, samples put in another order."""

from __future__ import annotations

from mmspec.verify.faults.fault import Fault, source
from mmspec.verify.faults.specs import FILMED, SPOKEN

FAULTS: tuple[Fault, ...] = (
    Fault(
        "decoding-forgets-too-soon",
        "a cache forgets the oldest key that a window still reaches",
        SPOKEN,
        ("P17",),
        source((r"k >= t - 3", "k >= t - 2"), file="decoding.py"),
    ),
    Fault(
        "decoding-sees-too-far",
        "decoded tokens see a key more than the window has",
        SPOKEN,
        ("P17",),
        source((r"q - k <= 3", "q - k <= 4"), file="decoding.py"),
    ),
    Fault(
        "decoding-stands-still",
        "places of decoded tokens do not move on",
        SPOKEN,
        ("P17",),
        source((r"cache\.length_b \+ tokens", "cache.length_b"), file="decoding.py"),
    ),
    Fault(
        "decoding-after-the-padding",
        "decoded tokens stand behind the longest prompt, not behind their own",
        SPOKEN,
        ("P17",),
        source((r"\.sum\(dim=1\)", ".sum(dim=1).max().expand(batch)"), file="decoding.py"),
    ),
    Fault(
        "decoding-unturned",
        "the keys of decoded tokens are not rotated",
        SPOKEN,
        ("P17",),
        source((r", rotate\(k_bhcw, turn\)", ", k_bhcw"), file="decoding.py"),
    ),
    Fault(
        "decoding-shifts-by-the-absent",
        "decoded tokens are shifted where no other source is there",
        FILMED,
        ("P17",),
        source(
            (r"masked_fill\(change\.place_bs\[\.\.\., None\] < 0, 0\.0\)", "clone()"),
            file="decoding.py",
        ),
    ),
    Fault(
        "decoding-unscaled",
        "decoded tokens are shifted, but not scaled",
        FILMED,
        ("P17",),
        source((r"x_bcd \* \(1 \+ scale_b1d\)", "x_bcd"), file="decoding.py"),
    ),
    Fault(
        "cache-places-not-reordered",
        "places of kept keys stay behind when samples are reordered",
        SPOKEN,
        ("P18",),
        source(
            (r"self\.place_bs\[index_b\]", "self.place_bs[index_b.flip(0)]"), file="decoding.py"
        ),
    ),
    Fault(
        "cache-values-not-reordered",
        "kept values stay behind when samples are reordered",
        SPOKEN,
        ("P18",),
        source((r"v\[index_b\]", "v[index_b.flip(0)]"), file="decoding.py"),
    ),
)
