"""What Warren's services, bots and other consumers share."""
