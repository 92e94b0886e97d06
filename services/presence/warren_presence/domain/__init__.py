"""The policy of presence, without I/O: the clock is a parameter, in seconds and monotonic."""
