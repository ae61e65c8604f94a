"""Verification: costs, flow, reference meaning, laws, claims and reports."""
