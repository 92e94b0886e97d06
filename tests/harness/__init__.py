"""What the tests drive Warren with: a stack of real processes, clients, and a checker."""
