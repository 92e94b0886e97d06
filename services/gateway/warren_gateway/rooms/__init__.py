"""The rooms that somebody here follows: their events, holes, permissions and readers."""
