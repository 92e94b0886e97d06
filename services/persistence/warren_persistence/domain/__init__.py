"""What the writer decides: pure functions of a room's state and a command. No I/O, no clock."""
