"""What an operator looks at. The page and the Grafana dashboard (`grafana`) are both made from this."""

from dataclasses import dataclass
from typing import Literal

Unit = Literal["count", "per second", "seconds", "bytes", "share"]
"""`share`: of one whole, so 1 is 100 %."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one metric says, summed over the replicas: a line, or one for each value of the label `by`.

    A `gauge` is drawn as it is, a `counter` as what it grows by in a second, of a `histogram` the quantile `at`.
    `only`: a label that samples must have, and the regular expression that its whole value must match. The label `job`
    is the service, as it is for Prometheus.
    """

    metric: str
    kind: Literal["gauge", "counter", "histogram"]
    name: str = ""
    by: str = ""
    at: float = 0.0
    only: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """A diagram."""

    title: str
    unit: Unit
    lines: tuple[Line, ...]
    about: str = ""


def _gauge(title: str, metric: str, by: str = "", about: str = "", unit: Unit = "count") -> Figure:
    return Figure(title, unit, (Line(metric, "gauge", title, by),), about)


def _counter(title: str, metric: str, by: str = "", about: str = "", unit: Unit = "per second") -> Figure:
    return Figure(title, unit, (Line(metric, "counter", title, by),), about)


def _counters(title: str, about: str = "", **metrics: str) -> Figure:
    lines = (Line(metric, "counter", name.replace("_", " ")) for name, metric in metrics.items())
    return Figure(title, "per second", tuple(lines), about)


def _quantiles(title: str, metric: str, about: str = "", unit: Unit = "seconds") -> Figure:
    shares = {"half": 0.5, "99 of 100": 0.99}
    return Figure(title, unit, tuple(Line(metric, "histogram", name, at=at) for name, at in shares.items()), about)


_QUEUES = "rabbitmq_detailed_queue_messages"
READY = "warren_ready"
UP = "up"
"""1 for a replica that answers, 0 for one that does not; Prometheus and the page count it, not the replica."""
STARTED = "process_start_time_seconds"
CPU = "process_cpu_seconds_total"
MEMORY = "process_resident_memory_bytes"

SECTIONS: dict[str, tuple[Figure, ...]] = {
    "Overview": (
        _quantiles("Acknowledged within", "warren_ack_seconds", "From a send to its answer."),
        _quantiles("Shown within", "warren_delivery_seconds", "From stored to written to the sockets."),
        _counter("Answers to what people do", "warren_commands_answered_total", "outcome"),
        _gauge("Connections", "warren_connections", "transport"),
        Figure(
            "Backlog",
            "count",
            (
                Line("warren_inbox_deliveries", "gauge", "taken by a writer"),
                Line(_QUEUES, "gauge", "commands in RabbitMQ", only=("queue", r"warren\.commands\..*")),
                Line(_QUEUES, "gauge", "presence in RabbitMQ", only=("queue", r"warren\.presence\..*")),
                Line(_QUEUES, "gauge", "bots in RabbitMQ", only=("queue", r"(warren\.)?bots?\..*")),
            ),
            "AMQP messages that wait. RabbitMQ's own count is here if its metrics are among the targets.",
        ),
        _counters(
            "What should be rare",
            "Each is explained in docs/configuration.md.",
            holes_filled="warren_holes_filled_total",
            slow_clients_cut="warren_slow_consumers_total",
            commits_repeated="warren_commit_retries_total",
            dead_letters="warren_dead_letters_total",
            rooms_with_another_epoch="warren_epoch_changes_total",
        ),
    ),
    "Gateways": (
        _counters("Frames", received="warren_frames_received_total", sent="warren_frames_sent_total"),
        _gauge("Commands that wait for their answer", "warren_commands_pending"),
        _gauge("Rooms followed", "warren_room_views", about="Each gateway's, added up."),
        _gauge("Kept for those who come back", "warren_replay_bytes", about="Of the latest events.", unit="bytes"),
        _counter("Joins", "warren_joins_total", "outcome", "Fresh, resumed by cursor, or told to begin anew."),
        _counter("Connections closed", "warren_connections_closed_total", "code", "By the gateway, by close code."),
        _counter("Subscriptions ended", "warren_subscriptions_ended_total", about="The reader left, or was removed."),
        Figure(
            "Refused",
            "per second",
            (
                Line("warren_requests_refused_total", "counter", by="reason"),
                Line("warren_limited_total", "counter", by="what"),
                Line("warren_tokens_refused_total", "counter", "token"),
            ),
            "Beyond a limit, from another origin, with a bad token.",
        ),
        _counter("Readings of the token issuer's keys", "warren_jwks_reads_total", "outcome"),
        _counter(
            "What does not last and makes no sense", "warren_live_messages_refused_total", "of", "By who said it."
        ),
    ),
    "Persistence": (
        _counter("Commands", "warren_commands_total", "outcome", "`known`: a key that was stored before."),
        _quantiles("Committed within", "warren_commit_seconds", "From taking a batch to its majority write."),
        _quantiles("Commands in one commit", "warren_commit_batch_commands", unit="count"),
        _counter(
            "Conflicts",
            "warren_commit_conflicts_total",
            "index",
            "`key`: a repeat. `seq`: another writer was there first.",
        ),
        _counter(
            "Messages of events",
            "warren_event_messages_total",
            "outcome",
            "All but `confirmed` are a queue's that takes none: of a node of the broker that is down or halted.",
        ),
        _counter("Queries", "warren_queries_total", "type"),
        _gauge("Rooms behind", "warren_projection_rooms_behind", about="Those that follow have yet to read them."),
        _gauge(
            "Rooms postponed", "warren_projection_rooms_postponed", about="A projection fails there; the log says why."
        ),
    ),
    "Presence": (
        _gauge("People connected", "warren_presence_people"),
        _gauge("Rooms with somebody in them", "warren_presence_rooms"),
        Figure(
            "Shards",
            "count",
            (
                Line("warren_presence_shards", "gauge", "held"),
                Line("warren_presence_shards_settled", "gauge", "settled"),
            ),
            "16 each, but for seconds after a change.",
        ),
        _gauge("Gateways that live", "warren_presence_gateways", about="As each presence replica sees it, added up."),
        _counters(
            "Announced",
            "Joins, leaves and changes of status: by gateways, and as the presence service took them.",
            by_gateways="warren_presence_announced_total",
            taken="warren_presence_changes_total",
        ),
        _counter("Frames told", "warren_presence_frames_total", "kind"),
        _counters(
            "Lost and mended",
            "Steadily: the broker or a gateway cannot keep up.",
            frames_that_did_not_follow="warren_presence_lost_total",
            asked_for_everything="warren_presence_asked_again_total",
            shards_taken_over="warren_presence_takeovers_total",
            gateways_fell_silent="warren_presence_leases_expired_total",
            messages_refused="warren_presence_messages_refused_total",
        ),
        _counters(
            "When people were last seen",
            written="warren_presence_last_seen_total",
            given_up="warren_presence_last_seen_dropped_total",
        ),
    ),
    "Bots": (
        _counter("Events handled", "warren_bot_handled_total", "handler"),
        _quantiles("One try takes", "warren_bot_handler_seconds"),
        _counter("Tried again", "warren_bot_retries_total", "handler"),
        _counter("Given up", "warren_bot_given_up_total", "handler", "Each is a dead letter of the bot."),
        _gauge("Waiting", "warren_bot_waiting", about="Taken from the queue and not done with."),
        _counters("Behind", held_back_by_its_pace="warren_bot_paced_total", caught_up="warren_bot_caught_up_total"),
        _counter("Commands refused", "warren_bot_commands_refused_total", "code", "By persistence, before judgement."),
        _counter("Queries not read", "warren_queries_dropped_total", "user"),
    ),
    "Replicas": (
        _gauge("Replicas that answer", UP, "job"),
        _gauge("Replicas whose check holds", READY, "check", "`serving` ends when a gateway is told to stop."),
        _counter("CPU", CPU, "job", "Of one core; all replicas of a service together.", unit="share"),
        _gauge("Memory", MEMORY, "job", "Resident; all replicas of a service together.", unit="bytes"),
        _quantiles("One thing keeps the rest waiting for", "warren_event_loop_lag_seconds", "The event loop's work."),
        _counter("What nobody foresaw", "warren_failures_total", "what", "Each is a bug; the log has its traceback."),
    ),
}
METRICS = frozenset(
    {STARTED, *(line.metric for figures in SECTIONS.values() for figure in figures for line in figure.lines)} - {UP}
)
"""All that replicas are asked for."""
