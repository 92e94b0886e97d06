"""The types of events, an area a module: who may bring one about, and what it changes."""
