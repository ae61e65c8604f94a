"""The specialiser: an ordinary PyTorch part and its constants -> the source that one spec needs."""
