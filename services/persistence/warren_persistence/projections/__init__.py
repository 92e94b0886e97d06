"""What events make of the collections in which rooms, members and people are looked up."""
