"""The version, and the newest torch that it was tested with, in one place."""

__version__ = "0.1.0"
TESTED_TORCH = (2, 13)
"""constraints.txt pins a patch of it; a newer one is expected to work, and said to be new."""
