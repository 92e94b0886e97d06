"""The writer of the room logs and the reader that answers queries."""
