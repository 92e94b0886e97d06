"""Whether a gateway does what it is there for, and whether the others do better."""
