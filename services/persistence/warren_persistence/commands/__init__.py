"""What comes in: commands, delivered and decoded."""
