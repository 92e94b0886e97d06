"""The ids and keys that the fuzzer uses: few of each, so that cases meet one another."""

import random
from typing import Any

ROOMS = tuple(f"fuzz-{number}" for number in range(6))
"""Rooms that exist; hostile things happen in these, and in those that cases make up."""
USERS = ("mal", "mo", "max")
"""People who exist, and are members of all ROOMS; `mal` owns them."""
KEYS = ("k1", "k2", "k3")
IDS = ("i1", "i2")
CHANCE_OF_OLD = 0.6
"""How often a key or id is one that was used before."""
GOOD_TEXTS = ("hi", "ünïcödé 🐇", "x" * 4_000, "a\nb", "\u0001" * 300)


def named(name: str, rng: random.Random) -> Any:
    """Return a good value for a field of this name, or None where any value of its type will do."""
    match name:
        case "room" | "rooms" | "of_room" | "ask":
            return rng.choice((*ROOMS, *ROOMS, "@me", f"new-{rng.getrandbits(16)}"))
        case "user" | "sender" | "other" | "sought":
            return rng.choice(USERS)
        case "key":
            return rng.choice(KEYS) if rng.random() < CHANCE_OF_OLD else f"k{rng.getrandbits(40)}"
        case "id":
            return rng.choice(IDS) if rng.random() < CHANCE_OF_OLD else f"i{rng.getrandbits(40)}"
        case "text" | "title" | "reason" | "name":
            found = rng.choice(GOOD_TEXTS)
            return found if name == "text" else found[:30]
        case "gateway" | "replica" | "term":
            return f"g{rng.randrange(3)}"
        case "prefix" | "q":
            return rng.choice(("m", "MA", "é"))
        case "epoch":
            return rng.choice(("", "e", "0" * 32))
    return None
