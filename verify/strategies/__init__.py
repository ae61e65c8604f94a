"""Hypothesis strategies of specs, of inputs to a spec, and of weights.

specs() -> SearchStrategy[str]: YAML text of a valid spec, anywhere in the language.
spec_dicts() -> SearchStrategy[dict]: the same as plain data.
load(text) -> Spec: the validated spec of such a text.
inputs(spec, batch=(2, 4), absent=True, ragged=True) -> SearchStrategy[Inputs]: for drawn and
    for fixed specs; draws lengths, absences, a law of the contents and a seed.
Inputs: frozen; `tensors` modality -> tensor or None (float64, int64), `lengths` modality ->
    int64 [B], `targets` head -> tensor, `batch`, `describe()` in words,
    `select(indices)` some samples of it (any order).
weights(spec, seed) -> dict[str, Tensor]: random float64 weights by name, nowhere 0 or 1.
"""

from mmspec.verify.strategies.inputs import Inputs, inputs
from mmspec.verify.strategies.specs import load, spec_dicts, specs
from mmspec.verify.strategies.weights import weights

__all__ = ["Inputs", "inputs", "load", "spec_dicts", "specs", "weights"]
