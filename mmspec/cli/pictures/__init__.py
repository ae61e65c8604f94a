"""Pictures of masks: in a terminal, as PNG, as SVG, and as data."""
