"""Python's garbage collector, told what kind of process this is."""

import gc

THRESHOLD = 10_000
"""Containers made and not freed until the youngest generation is looked through; Python's own is 700.

A hundred messages make as many, and nearly all of them are freed without its help. What is left lives for as long as a
message is on its way, so looking more often finds little, and moves it to where looking costs more.
"""


def tune_garbage_collection() -> None:
    """Take what is there for good out of garbage collection; called when a service is about to serve.

    A full collection would look through all of it and hold everybody up meanwhile, for tenths of a second; a flood of
    requests makes enough garbage to have it happen several times a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(THRESHOLD, *gc.get_threshold()[1:])
