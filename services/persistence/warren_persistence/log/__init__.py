"""MongoDB: the log of each room, and what it is looked up by."""
