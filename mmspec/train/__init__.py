"""Training and evaluating a compiled model: deterministic, resumable, logged."""
