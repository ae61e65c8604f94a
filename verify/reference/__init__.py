"""The reference: the dense float64 meaning of a spec, naive on purpose, one sample at a time.

It reads the Spec, never the Plan, and shares no code with what is emitted. No padding exists here:
each sample runs alone at its true length, and the results are put together afterwards.

    run(spec, weights, inputs, lengths=None, targets=None, mode="eval", record=False) -> Result
        weights: name -> tensor, as in the emitted model's `state_dict()` (made float64 here;
        gradients flow to those given); inputs: modality -> tensor or None; lengths: modality ->
        int64 [B] in raw units; targets: head -> tensor; mode "train" or "eval".
    Result: `heads` dict by head (padded positions of language-model logits are NaN), `loss`,
        `losses`, `auxiliary`, `statistics` as the emitted model's, and `trace`: name -> one tensor
        a sample: "{stream}.fused" and "{stream}.tokens" [n, D]; with record=True also
        "{stream}.{layer}" attention weights [H, n, n] (steps of a ponder counted on).
    pairs(spec, stream, lengths) -> bool [n, n]: who sees whom (row: query) in the self-attention
        of one sample; lengths: modality -> int in raw units (absent from it: its longest).
    context_pairs(spec, stream, lengths) -> bool [n, m]: the same of a cross-attention fusion.
    visible(mask, q, k) -> bool: one mask at one pair of indices in their own segments.
    expected_weights(spec) -> dict[str, tuple[int, ...]]: every weight's name and shape.
"""

from mmspec.verify.reference.attention import context_pairs, pairs, visible
from mmspec.verify.reference.model import Result, run
from mmspec.verify.reference.shapes import expected_weights

__all__ = ["Result", "context_pairs", "expected_weights", "pairs", "run", "visible"]
