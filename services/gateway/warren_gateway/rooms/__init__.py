"""The rooms that somebody here follows: their events, gaps, permissions and subscriptions."""
