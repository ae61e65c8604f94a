"""Weights in and out: checkpoints of transformers, and files that say which spec they are of."""
