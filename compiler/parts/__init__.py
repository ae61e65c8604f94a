"""The parts of a model, as ordinary PyTorch modules that the emitter specialises."""
