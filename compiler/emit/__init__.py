"""Plan -> the source of a package."""
