"""How much one answer carries, and one question."""

RANGE_LIMIT = 500
"""The most events that one answer carries."""
ACCESSES_LIMIT = 100
"""The most accesses that are asked for together: below 64 KiB however long the ids are."""
NOTES_LIMIT = 200
"""The most events beside the messages in a page of history."""
SIGN_INS_LIMIT = 100
"""The most people in one message: below 64 KiB however their names are written."""
PAGE_LIMIT = 100
"""The most messages in a page of history, and rooms in a page of the directory."""
