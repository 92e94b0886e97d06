"""What a bot counts, by handler: for Prometheus, at WARREN_METRICS_PORT."""

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.005, 0.02, 0.1, 0.5, 2, 10, 60)

HANDLED = Counter("warren_bot_handled_total", "Events that a handler is done with.", ["handler"])
RETRIES = Counter("warren_bot_retries_total", "Tries that failed and were tried again.", ["handler"])
GIVEN_UP = Counter("warren_bot_given_up_total", "Events that became dead letters.", ["handler"])
SECONDS = Histogram("warren_bot_handler_seconds", "Seconds of one try.", ["handler"], buckets=_SECONDS)
PACED = Counter("warren_bot_paced_total", "Commands that had to wait, since the bot says more than it may.")
CAUGHT_UP = Counter(
    "warren_bot_caught_up_total",
    "Events taken from the log instead of the queue: the bot was away, or its queue had to drop some.",
)
WAITING = Gauge("warren_bot_waiting", "Deliveries that were taken from the queue and are not done with.")
