"""What bots say, let through to the writers as far as it goes."""
