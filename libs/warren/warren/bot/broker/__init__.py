"""The chat over the broker."""
