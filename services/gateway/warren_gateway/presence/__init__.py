"""Who is present: announced for this gateway, and broadcast of all gateways."""
