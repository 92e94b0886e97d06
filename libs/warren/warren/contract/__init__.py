"""What Warren's parts say to each other: wire types, ids, topology. Imports pydantic alone.

Whoever produces a message builds one of these models, which refuse surprises. Whoever consumes one from another
replica ignores fields it does not know (`Wire`), so that old and new replicas run side by side during a roll-out.
"""
