"""Runs in use: a trained model with its encoders and names, what it answers, what it writes."""
