"""The small languages inside a spec's values: sizes, quantities, masks and claims."""
