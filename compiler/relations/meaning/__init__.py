"""What a mask means: who sees whom between two segments, as formulas and as sets of integers."""
