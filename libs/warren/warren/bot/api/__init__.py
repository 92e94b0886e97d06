"""What the author of a bot sees, and what of it the runtime knows. No I/O but the file of a bot's state."""
