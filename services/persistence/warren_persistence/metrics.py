"""What the persistence service counts. Never labelled by room or person: their number has no bound."""

from prometheus_client import Counter, Gauge, Histogram

COMMANDS = Counter("warren_commands_total", "Commands settled, by outcome.", ["outcome"])
BATCH = Histogram(
    "warren_commit_batch_commands", "Commands in one group commit.", buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500)
)
COMMIT = Histogram(
    "warren_commit_seconds",
    "Seconds from taking a batch to its majority write.",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
BOTS_REFUSED = Counter(
    "warren_bot_commands_refused_total",
    "Commands refused before anybody judged them, by the broker user that sent them: `too_many` beyond a bot's pace (a "
    "message counts as one if it was not even read), `forbidden` in somebody else's name, `invalid` in a message that "
    "is too long, `unavailable` for as long as a shard's queue is full.",
    ["user", "code"],  # the operator makes the users: there are as many as bots, and nobody else
)
CONFLICTS = Counter("warren_commit_conflicts_total", "Inserts stopped by a unique index, by which.", ["index"])
RETRIES = Counter("warren_commit_retries_total", "Commits repeated because MongoDB was not available.")
DEAD = Counter("warren_dead_letters_total", "Commands that could not be processed.")
EVENTS = Counter(
    "warren_event_messages_total",
    "Messages of events, by what became of them: `confirmed` by the broker; `refused` by a queue of a node that is "
    "down; `lost`: nobody knows; `dropped` unpublished, as too many others wait. Who missed one reads the store. "
    "`unheard`: it was for bots, and no bot has its room.",
    ["outcome"],
)
BACKLOG = Gauge("warren_inbox_deliveries", "AMQP messages delivered and waiting for the writer.")
ROOMS_BEHIND = Gauge(
    "warren_projection_rooms_behind",
    "Rooms in which the projections that follow the commits have yet to read what was stored.",
)
ROOMS_POSTPONED = Gauge(
    "warren_projection_rooms_postponed",
    "Rooms in which a projection failed, or that changed all the while it was made anew. They are tried again.",
)
QUERIES_DROPPED = Counter(
    "warren_queries_dropped_total", "Queries of a broker user that sent too many, not read.", ["user"]
)
QUERIES = Counter("warren_queries_total", "Queries answered, by type and outcome.", ["type", "outcome"])

# Prometheus counts no increase from nothing to one, and alerts look at these.
for index in ("key", "seq"):
    CONFLICTS.labels(index)
for outcome in ("confirmed", "refused", "lost", "dropped", "unheard"):
    EVENTS.labels(outcome)
