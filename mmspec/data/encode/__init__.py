"""From raw values to arrays: a file a kind of modality, and the targets."""
