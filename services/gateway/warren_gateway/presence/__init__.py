"""Who is here: announced for this gateway, and shown of all."""
