"""Train."""
from __future__ import annotations
import argparse
NAME = "train"
SUMMARY = "train a compiled spec on real data"
def options(parser: argparse.ArgumentParser) -> None:
    """x"""
def run(arguments: argparse.Namespace) -> int:
    """x"""
    return 0
