"""The HTTP API, version 1, a module for each kind of resource."""
