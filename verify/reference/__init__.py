"""The reference: the dense float64 meaning of a spec, naive on purpose, one sample at a time.

It reads the Spec, never the Plan, and shares no code with what is emitted. No padding exists here:
each sample runs alone at its true length, and the results are put together afterwards.

    run(spec, weights, inputs, lengths, targets, mode="eval", record=False, documents, added)
        -> Result
        weights: name -> tensor, as in the emitted model's `state_dict()` (made float64 here;
        gradients flow to those given); inputs: modality -> tensor or None; lengths: modality ->
        int64 [B] in raw units; targets: head -> tensor; mode "train" or "eval"; documents:
        modality -> int64 [B, T], the document of each token. All three may be None.
    Result: `heads` dict by head (padded positions of language-model logits are NaN), `loss`,
        `losses`, `auxiliary`, `statistics` as the emitted model's, and `trace`: name -> one tensor
        a sample: "{stream}.fused" and "{stream}.tokens" [n, D]; with record=True also
        "{stream}.{layer}" attention weights [H, n, n] (steps of a ponder counted on), and `passed`:
        module of the emitted model -> sample -> call -> what it gave [n, D]; "{module}.input":
        what it was given. Embeddings, projections, fusions, streams, blocks, sub-layers, norms.
    pairs(spec, stream, lengths) -> bool [n, n]: who sees whom (row: query) in any head of the
        self-attention of one sample; lengths: modality -> int in raw units (absent: its longest).
    context_pairs(spec, stream, lengths) -> bool [n, m]: the same of a cross-attention fusion.
    pairs_by_head, context_pairs_by_head(spec, stream, lengths, documents=None) -> bool [H, n, m]:
        the same in each head; documents: modality -> the document of each token.
    visible(mask, q, k) -> bool: one mask at a pair of tokens, or of indices on a line.
    expected_weights(spec) -> dict[str, tuple[int, ...]]: every weight's name and shape.
"""

from mmspec.verify.reference.attention import (
    context_pairs,
    context_pairs_by_head,
    pairs,
    pairs_by_head,
)
from mmspec.verify.reference.masks import visible
from mmspec.verify.reference.model import Result, run
from mmspec.verify.reference.shapes import expected_state, expected_weights

__all__ = [
    "Result",
    "context_pairs",
    "context_pairs_by_head",
    "expected_state",
    "expected_weights",
    "pairs",
    "pairs_by_head",
    "run",
    "visible",
]
