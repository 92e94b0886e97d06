"""Measurements, run by `./dev bench NAME`. Bars live here, not in the tests: a ratio in one run says much."""

import sys
from pathlib import Path

# The stack, its members and their tokens are the tests' own.
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
