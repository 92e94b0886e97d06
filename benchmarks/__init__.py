"""Measurements, run by `./dev bench NAME`. Bars live here, not in the tests: a ratio in one run says much."""
