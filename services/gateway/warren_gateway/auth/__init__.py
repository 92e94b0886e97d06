"""Who is asking: tokens, the keys that check them, and who has signed in."""
