"""The schema of a spec: pydantic models, one file a concern."""
