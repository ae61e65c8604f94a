"""Families of published models: what each calls its weights, one file a lineage."""
