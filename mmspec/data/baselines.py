"""What simple models get on the same split: the bar that a compiled model is shown beside.

All of them are scikit-learn's logistic regression on features that a page describes: pixels and
log-mel frames reduced by PCA, character n-grams of text, moments and spectra of motion.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from fractions import Fraction
from hashlib import blake2b
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mmspec.data import cache
from mmspec.data.encode.values import finite
from mmspec.data.faults import Faults, package_missing
from mmspec.data.source import Source, Waveform

Floats = NDArray[np.float64]
_VERSION: Final = 2
_COMPONENTS: Final = 64
_STRENGTHS: Final = (1.0, 5.0, 25.0, 125.0)
SUBSETS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "openmoji": (("image",), ("text",), ("image", "text")),
    "stamps": (("image",), ("text",), ("audio",), ("image", "text"), ("image", "text", "audio")),
    "watch": (
        ("accelerometer",),
        ("gyroscope",),
        ("accelerometer", "gyroscope"),
        ("accelerometer", "gyroscope", "side"),
    ),
}
"""The combinations of columns that are fitted for each built-in set."""


def baselines(source: Source) -> dict[str, float]:
    """Held-out accuracy by name: `majority`, then a logistic regression for each subset.

    Fitted once for a data set and version of scikit-learn. Raises MmspecError: MM512 without it,
    MM506 where a feature is not finite.
    """
    try:
        import sklearn
    except ImportError:
        raise package_missing("scikit-learn", "the baselines") from None
    stamp = f"{source.fingerprint} {sklearn.__version__} {_VERSION}"
    entry = blake2b(stamp.encode(), digest_size=8).hexdigest()

    def fit() -> dict[str, NDArray[Any]]:
        found = _fit(source)
        return {
            "names": np.array(json.dumps(list(found))),
            "values": np.array(list(found.values())),
        }

    stored = cache.arrays(f"baselines-{source.name}-{entry}", fit)
    return dict(zip(json.loads(str(stored["names"])), stored["values"].tolist(), strict=True))


def _fit(source: Source) -> dict[str, float]:
    labels = np.array([str(label) for label in source.columns["label"]])
    train, test = ~source.held_out, source.held_out
    common = Counter(labels[train].tolist()).most_common(1)[0][0]
    found = {"majority": float((labels[test] == common).mean())}
    wanted = SUBSETS[source.name]
    columns = {name for subset in wanted for name in subset}
    features = {name: _features(source, name, train) for name in sorted(columns)}
    for subset in wanted:
        joined = np.concatenate([features[name] for name in subset], axis=1)
        found[", ".join(subset)] = _accuracy(joined, labels, train)
    return found


def _accuracy(features: Floats, labels: NDArray[Any], train: NDArray[np.bool_]) -> float:
    """Held-out accuracy; the strength of the penalty is chosen within the training rows."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score

    def accuracy(strength: float) -> float:
        model = LogisticRegression(C=strength, max_iter=500)
        scores = cross_val_score(model, features[train], labels[train], cv=3)
        return float(scores.mean())

    best = max(_STRENGTHS, key=accuracy)
    model = LogisticRegression(C=best, max_iter=2000).fit(features[train], labels[train])
    return float((model.predict(features[~train]) == labels[~train]).mean())


def _features(source: Source, name: str, train: NDArray[np.bool_]) -> Floats:
    """Features of a column by what it holds; fitted to the training rows only."""
    column = source.columns[name]
    first: Any = column[0]
    if isinstance(first, str):
        return _ngrams([str(text) for text in column], train)
    if isinstance(first, Waveform):
        return _scaled(_described(source, name, _spoken), train)
    if isinstance(first, Mapping):
        return _described(source, name, lambda row: np.array([float(x) for x in row.values()]))
    if np.asarray(first).dtype == np.uint8:
        return _pixels(np.stack([np.asarray(image) for image in column]), train)
    return _scaled(_described(source, name, _motion), train)


def _described(source: Source, name: str, describe: Callable[[Any], Floats]) -> Floats:
    """What describes each row of a column; raises MM506 with the rows where it is not finite."""
    faults, found = Faults(), list[Floats]()
    for row, value in zip(source.rows, source.columns[name], strict=True):
        with faults.at(row, name):
            found.append(finite(describe(value), "what the baseline sees of it"))
    faults.check()
    return np.stack(found)


def _ngrams(texts: list[str], train: NDArray[np.bool_]) -> Floats:
    """TF-IDF of 1- to 4-grams of characters."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True, min_df=2)
    vectors.fit([text for text, kept in zip(texts, train, strict=True) if kept])
    return np.asarray(vectors.transform(texts).toarray(), np.float64)


def _pixels(images: NDArray[np.uint8], train: NDArray[np.bool_]) -> Floats:
    """Principal components of the picture at 32 by 32."""
    from sklearn.decomposition import PCA

    count, height, width, channels = images.shape
    blocks = images.reshape(count, 32, height // 32, 32, width // 32, channels)
    flat = blocks.mean(axis=(2, 4)).reshape(count, -1) / 255
    reduced = PCA(_COMPONENTS, random_state=0).fit(flat[train]).transform(flat)
    return np.asarray(_scaled(reduced, train), np.float64)


def _spoken(sound: Waveform) -> Floats:
    """Log-mel energies averaged in eight equal parts of the recording."""
    from mmspec.data.encode.audio import log_mel

    frames = log_mel(sound, bands=40, rate=Fraction(100), most=1000)
    parts = np.array_split(frames.astype(np.float64), 8)
    return np.concatenate([part.mean(axis=0) if len(part) else np.zeros(40) for part in parts])


def _motion(window: NDArray[Any]) -> Floats:
    """Mean, deviation, extremes and quartiles of each axis, its low spectrum, and correlations."""
    axes = np.asarray(window, np.float64)
    quartiles = np.quantile(axes, [0.25, 0.5, 0.75], axis=0)
    spectrum = np.log1p(np.abs(np.fft.rfft(axes - axes.mean(0), axis=0))[1:9])
    related = np.atleast_2d(np.corrcoef(axes.T + 1e-9 * np.arange(len(axes))))
    together = related[np.triu_indices(axes.shape[1], 1)]
    shape = [
        axes.mean(0),
        axes.std(0),
        axes.min(0),
        axes.max(0),
        np.abs(np.diff(axes, axis=0)).mean(0),
    ]
    return np.concatenate([*shape, quartiles.ravel(), spectrum.ravel(), np.nan_to_num(together)])


def _scaled(features: Floats, train: NDArray[np.bool_]) -> Floats:
    """Standardised, then divided so that a row's norm is about 1, as that of TF-IDF is."""
    mean, spread = features[train].mean(axis=0), features[train].std(axis=0)
    standard = (features - mean) / np.where(spread > 0, spread, 1)
    return np.asarray(standard / np.sqrt(features.shape[1]), np.float64)
