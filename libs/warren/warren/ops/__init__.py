"""What an operator sees of a service: settings, logs, health, metrics."""
