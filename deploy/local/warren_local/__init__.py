"""Runs all of Warren on one machine: real servers, real processes, for development, tests and benchmarks."""
