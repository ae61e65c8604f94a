"""Masks as integer sets: who sees whom, which tiles that needs, and in which loops."""
