"""Data for training: where rows come from, how they become arrays, and in what batches."""
