"""Updates that may be repeated, and that two replicas may make side by side: a document takes what is newer alone."""

from collections.abc import Mapping
from typing import Any

from pymongo import UpdateOne


def update_if(identity: Any, newer: Mapping[str, Any], fields: Mapping[str, Any]) -> UpdateOne:
    """Return the update that sets `fields` where the document fulfils `newer`, and makes the document if need be."""
    changes = {name: {"$cond": [newer, {"$literal": value}, f"${name}"]} for name, value in fields.items()}
    return UpdateOne({"_id": identity}, [{"$set": changes}], upsert=True)


def update_before(identity: Any, seq: int, fields: Mapping[str, Any]) -> UpdateOne:
    """Return the update for a document that has seen no event from `seq` on."""
    return update_if(identity, {"$lt": [{"$ifNull": ["$seq", 0]}, seq]}, {**fields, "seq": seq})


def update_up_to(identity: Any, upto: int, fields: Mapping[str, Any], seq: int) -> UpdateOne:
    """Return the update for a document that has seen no event after `upto`, of which `seq` is its last."""
    return update_if(identity, {"$lte": [{"$ifNull": ["$seq", 0]}, upto]}, {**fields, "seq": seq})
