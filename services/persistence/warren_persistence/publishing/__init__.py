"""What goes out: events to whoever listens, answers to who asked, notices to people, poison to the dead letters."""
