"""Events inserted into MongoDB directly, as by a writer that was paused, or died, between its insert and the rest."""

from typing import Any

import pymongo
from warren.contract.ids import new_id
from warren.contract.wire import utc_now


def insert_directly(mongo_url: str, room: str, seq: int, sender: str, **fields: Any) -> None:
    """Store an event at `seq`; `fields` are those of its type, `number` and `key` included."""
    common = {"room": room, "seq": seq, "id": new_id(), "sender": sender, "name": sender, "key": new_id()}
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(mongo_url)
    with client:
        client.get_default_database().events.insert_one({**common, "at": utc_now(), **fields})
