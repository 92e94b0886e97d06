"""Runs a bot: each event once and in order, timers when they are due, one process of several."""
