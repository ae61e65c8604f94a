"""Masks -> the source of Triton kernels."""
