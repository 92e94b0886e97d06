"""What comes to a gateway over the broker, on queues of its own."""
