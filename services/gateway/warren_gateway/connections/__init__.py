"""One client, over any transport: the protocol, what it decides carried out, and its limits."""
