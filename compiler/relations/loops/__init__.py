"""Which tiles a mask needs, in which order of tokens, and what visits them: loops, patterns."""
