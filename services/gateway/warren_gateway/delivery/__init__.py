"""What is delivered to those who read a room: batches of events, and whoever takes them."""
