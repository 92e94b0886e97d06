"""What the gateway counts. Never labelled by room or person: their number has no bound."""

from functools import cache

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)

CONNECTIONS = Gauge("warren_connections", "Sockets, streams and polls that are open.", ["transport"])
FRAMES_IN = Counter("warren_frames_received_total", "Frames from clients.")
FRAMES_OUT = Counter("warren_frames_sent_total", "Frames to clients.")
ACK = Histogram("warren_ack_seconds", "Seconds from a send to its answer.", buckets=_SECONDS)
DELIVERY = Histogram("warren_delivery_seconds", "Seconds from stored to written to the sockets.", buckets=_SECONDS)
CLOSED = Counter("warren_connections_closed_total", "Connections that the gateway closed, by code.", ["code"])
SLOW = Counter("warren_slow_consumers_total", "Connections cut because they did not read.")
COMMANDS = Counter("warren_commands_answered_total", "Commands answered, by outcome.", ["outcome"])
commands_answered = cache(COMMANDS.labels)
"""The counter of an outcome: to find it costs several times what it costs to count."""
PENDING = Gauge("warren_commands_pending", "Commands that wait for their answer.")
ROOMS = Gauge("warren_room_views", "Rooms that this gateway follows.")
GAPS_FILLED = Counter("warren_holes_filled_total", "Reads from the store that filled a gap or a lost tail.")
RESUMES = Counter("warren_joins_total", "Joins, by what came of them.", ["outcome"])
EPOCHS = Counter("warren_epoch_changes_total", "Rooms whose epoch changed under their readers.")
ENDED = Counter("warren_subscriptions_ended_total", "Subscriptions that ended as their reader left or was removed.")
REFUSED = Counter("warren_requests_refused_total", "Requests and handshakes refused before routing.", ["reason"])
LIMITED = Counter("warren_limited_total", "Frames and requests of people that were too many.", ["what"])
TOKENS_REFUSED = Counter("warren_tokens_refused_total", "Tokens that were checked and refused.", ["reason"])
JWKS = Counter("warren_jwks_reads_total", "Readings of the token issuer's keys, by what came of them.", ["outcome"])
ANNOUNCED = Counter("warren_presence_announced_total", "Joins, leaves and changes of status that were announced.")
REFUSED_MESSAGES = Counter(
    "warren_live_messages_refused_total", "Messages that make no sense, by who sent them.", ["of"]
)
REPLAY_BYTES = Gauge("warren_replay_bytes", "What is kept of the latest events of all rooms, for those who come back.")
PRESENCE_LOST = Counter("warren_presence_lost_total", "Frames of presence that did not follow on what was known.")

# Prometheus counts no increase from nothing to one, and alerts look at these.
for outcome in ("read", "failed"):
    JWKS.labels(outcome)
for reason in (
    "algorithm", "audience", "claim", "email", "expired", "issuer", "key", "malformed", "not_yet", "signature", "user",
):  # fmt: skip
    TOKENS_REFUSED.labels(reason)
COMMANDS.labels("unavailable")
