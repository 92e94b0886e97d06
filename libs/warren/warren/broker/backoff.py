"""How long to wait before the next try."""

import random
from collections.abc import Iterator


def backoff(base: float = 0.1, cap: float = 3.0) -> Iterator[float]:
    """Yield delays in seconds for ever, doubling from `base` to `cap`, each with full jitter.

    Full jitter keeps replicas that lost the same server from coming back in step
    (https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/).
    """
    ceiling = base
    while True:
        yield random.uniform(base / 2, ceiling)
        ceiling = min(cap, ceiling * 2)
