"""What laws work with: cases, runs of models, changed inputs, comparisons, the text read again."""
