"""The rooms that somebody here follows: their events, gaps, access and subscriptions."""
