"""Spec -> Plan, one file a concern."""
