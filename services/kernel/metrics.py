"""Every metric of the system by name, kind, unit and meaning; the only door to prometheus_client.

A name outside `MetricName` is a type error, a label value outside its closed set a ValueError: no
person, household or free text can become a label. `docs/metrics.md` is generated from the
catalogue: `python -m services.kernel.metrics > docs/metrics.md`.
"""

from __future__ import annotations

import itertools
import re
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Final, Literal, NamedTuple, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

disable_created_metrics()  # type: ignore[no-untyped-call]

MetricName = Literal[
    "hearthwatch_http_requests_total",
    "hearthwatch_http_request_duration_seconds",
    "hearthwatch_ready",
    "hearthwatch_disk_free_bytes",
    "hearthwatch_disk_size_bytes",
    "hearthwatch_loop_turns_total",
    "hearthwatch_loop_errors_total",
    "hearthwatch_loop_progress_age_seconds",
    "hearthwatch_tick_duration_seconds",
    "hearthwatch_relay_records_total",
    "hearthwatch_outbox_unsent_records",
    "hearthwatch_worker_records_total",
    "hearthwatch_worker_dead_letters_total",
    "hearthwatch_worker_lag_records",
    "hearthwatch_worker_oldest_unread_age_seconds",
    "hearthwatch_dead_letters",
    "hearthwatch_intake_changes_total",
    "hearthwatch_intake_accept_duration_seconds",
    "hearthwatch_intake_kept_items",
    "hearthwatch_risk_assessments_total",
    "hearthwatch_risk_unknown_assessments_total",
    "hearthwatch_risk_mark_age_seconds",
    "hearthwatch_alerts_change_to_alert_seconds",
    "hearthwatch_alerts_opened_total",
    "hearthwatch_alerts_open",
    "hearthwatch_alerts_unacknowledged",
    "hearthwatch_alerts_oldest_unacknowledged_age_seconds",
    "hearthwatch_alerts_steps_total",
    "hearthwatch_alerts_step_lateness_seconds",
    "hearthwatch_alerts_overdue_steps",
    "hearthwatch_alerts_set_aside_total",
    "hearthwatch_alerts_deliveries_total",
    "hearthwatch_alerts_undelivered_age_seconds",
    "hearthwatch_alerts_nobody_on_duty_total",
    "hearthwatch_alerts_roles_without_duty",
    "hearthwatch_alerts_waiting_moves",
    "hearthwatch_alerts_commands_total",
    "hearthwatch_console_glasses",
]
Kind = Literal["counter", "gauge", "histogram"]
Labels = dict[str, tuple[str, ...] | None]

REQUEST_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0)
"""The edges that answer the bars of 100 ms (acknowledge), 200 ms (list) and 1 s (bulk)."""
LATENESS_BUCKETS: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""2 s and 5 s are the bars of emergency lateness, 10 s that of 6,000 due at one instant."""
ALERT_BUCKETS: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
"""1 s is the bar of a change that becomes an alert; one through absence waits for a mark, 5 s."""
LEVELS: Final = ("0", "1", "2", "3")
_NAMED: Final = re.compile(r"[A-Za-z0-9_./{}:-]{1,96}")
_MOST_NAMED: Final = 300


class Spec(NamedTuple):
    """What a metric is.

    A label's tuple is its closed set; None stands for names that the code itself gives (routes,
    loops, services), at most 300 of them.
    """

    kind: Kind
    unit: str
    meaning: str
    labels: Labels
    buckets: tuple[float, ...] = ()


CATALOGUE: Final[dict[MetricName, Spec]] = {
    "hearthwatch_http_requests_total": Spec(
        "counter", "requests", "HTTP requests answered; 5xx other than 503 is a bug",
        {"service": None, "method": None, "route": None, "status": None},
    ),
    "hearthwatch_http_request_duration_seconds": Spec(
        "histogram", "seconds", "from the request's first byte to the end of its answer",
        {"service": None, "route": None}, REQUEST_BUCKETS,
    ),
    "hearthwatch_ready": Spec(
        "gauge", "0 or 1", "whether the service is ready: its loops get on, its database takes "
        "writes, the clock was not set back; /readyz names the reason", {"service": None},
    ),
    "hearthwatch_disk_free_bytes": Spec(
        "gauge", "bytes", "free space where the process keeps its data folder", {}
    ),
    "hearthwatch_disk_size_bytes": Spec(
        "gauge", "bytes", "size of the file system that holds the data folder", {}
    ),
    "hearthwatch_loop_turns_total": Spec(
        "counter", "turns", "turns of a worker, relay or tick loop, with or without work",
        {"loop": None},
    ),
    "hearthwatch_loop_errors_total": Spec(
        "counter", "errors", "turns that failed: infrastructure out of reach, or a bug of ours",
        {"loop": None, "kind": ("retryable", "bug")},
    ),
    "hearthwatch_loop_progress_age_seconds": Spec(
        "gauge", "seconds", "since the loop last did its work or found none to do",
        {"loop": None},
    ),
    "hearthwatch_tick_duration_seconds": Spec(
        "histogram", "seconds", "one call of a tick", {"tick": None}, REQUEST_BUCKETS
    ),
    "hearthwatch_relay_records_total": Spec(
        "counter", "records", "records that a relay brought to the bus", {"service": None}
    ),
    "hearthwatch_outbox_unsent_records": Spec(
        "gauge", "records", "records waiting in an outbox; growing means that the bus is away",
        {"service": None},
    ),
    "hearthwatch_worker_records_total": Spec(
        "counter", "records", "records that a worker settled", {"worker": None}
    ),
    "hearthwatch_worker_dead_letters_total": Spec(
        "counter", "records", "records that a worker buried: unreadable, refused or a bug of ours",
        {"worker": None},
    ),
    "hearthwatch_worker_lag_records": Spec(
        "gauge", "records", "records of its topic that a worker's group has not settled",
        {"worker": None},
    ),
    "hearthwatch_worker_oldest_unread_age_seconds": Spec(
        "gauge", "seconds", "age of the oldest record that a worker has not settled, else 0",
        {"worker": None},
    ),
    "hearthwatch_dead_letters": Spec(
        "gauge", "records", "dead letters that nobody has sent again; `hearthwatch dlq list`", {}
    ),
    "hearthwatch_intake_changes_total": Spec(
        "counter", "changes", "changes brought to the door, by what was done with them",
        {"outcome": ("accepted", "duplicate", "conflict", "rejected")},
    ),
    "hearthwatch_intake_accept_duration_seconds": Spec(
        "histogram", "seconds", "one batch at the door, until it was synced", {}, REQUEST_BUCKETS
    ),
    "hearthwatch_intake_kept_items": Spec(
        "gauge", "items",
        "refused and conflicting items that nobody has mended, counted to 10,000; grave: of a "
        "type that can give red",
        {"grave": ("yes", "no")},
    ),
    "hearthwatch_risk_assessments_total": Spec(
        "counter", "assessments", "assessments published, by the subject's level",
        {"level": LEVELS},
    ),
    "hearthwatch_risk_unknown_assessments_total": Spec(
        "counter", "assessments", "assessments published with a rule that could not be decided",
        {"level": LEVELS},
    ),
    "hearthwatch_risk_mark_age_seconds": Spec(
        "gauge", "seconds", "age of the oldest last mark of any partition; above 60 alarms ops",
        {"service": ("risk", "alerts")},
    ),
    "hearthwatch_alerts_change_to_alert_seconds": Spec(
        "histogram", "seconds",
        "from the receipt of a change at the door, or the instant an absence was due, to the "
        "alert's row; 1 s is the bar for facts",
        {"level": LEVELS, "cause": ("fact", "time")}, ALERT_BUCKETS,
    ),
    "hearthwatch_alerts_opened_total": Spec(
        "counter", "alerts", "alerts opened, by level", {"level": LEVELS}
    ),
    "hearthwatch_alerts_open": Spec(
        "gauge", "alerts", "alerts open now, by level", {"level": LEVELS}
    ),
    "hearthwatch_alerts_unacknowledged": Spec(
        "gauge", "alerts", "open alerts that nobody has acknowledged, by level", {"level": LEVELS}
    ),
    "hearthwatch_alerts_oldest_unacknowledged_age_seconds": Spec(
        "gauge", "seconds", "since the clock of the oldest unacknowledged alert began, else 0",
        {"level": LEVELS},
    ),
    "hearthwatch_alerts_steps_total": Spec(
        "counter", "steps", "deadlines that came: a step of the ladder, or a missed promise",
        {"outcome": ("fired", "missed_deadline")},
    ),
    "hearthwatch_alerts_step_lateness_seconds": Spec(
        "histogram", "seconds", "from a step's due instant to its firing; 2 s is the bar",
        {}, LATENESS_BUCKETS,
    ),
    "hearthwatch_alerts_deliveries_total": Spec(
        "counter", "deliveries", "attempts to deliver, by channel and result",
        {"channel": None, "outcome": ("delivered", "retry", "failed", "repeated")},
    ),
    "hearthwatch_alerts_overdue_steps": Spec(
        "gauge", "steps", "steps more than 10 s past due at the auditor's last look; it fires them",
        {},
    ),
    "hearthwatch_alerts_set_aside_total": Spec(
        "counter", "alerts", "alerts that could not be fired, kept apart for a minute and told", {}
    ),
    "hearthwatch_alerts_undelivered_age_seconds": Spec(
        "gauge", "seconds", "since the oldest step not yet delivered was due, else 0", {}
    ),
    "hearthwatch_alerts_nobody_on_duty_total": Spec(
        "counter", "lookups", "roles nobody was on duty for; the station head was told instead", {}
    ),
    "hearthwatch_alerts_roles_without_duty": Spec(
        "gauge", "roles",
        "roles of the pack's ladders that no turn of the roster covers now; 0 without any roster",
        {},
    ),
    "hearthwatch_alerts_waiting_moves": Spec(
        "gauge", "moves", "moves whose other half has not come; what follows them is kept back", {}
    ),
    "hearthwatch_alerts_commands_total": Spec(
        "counter", "commands", "what people did to alerts over HTTP",
        {
            "command": (
                "acknowledge", "take", "handover", "on_site", "outcome", "note", "close", "escalate"
            ),
            "outcome": ("done", "refused"),
        },
    ),
    "hearthwatch_console_glasses": Spec(
        "gauge", "glasses",
        "households that somebody opened outside their areas: open now; not yet reviewed by a "
        "head; late: of these older than a day",
        {"state": ("open", "unreviewed", "late")},
    ),
}  # fmt: skip
_PREFIX: Final = "hearthwatch_"
QUESTIONS: Final[dict[str, str]] = {
    "How long from a change to an alert?":
        "alerts_change_to_alert_seconds alerts_opened_total intake_accept_duration_seconds "
        "tick_duration_seconds",
    "Does every escalation come on time?":
        "alerts_step_lateness_seconds alerts_steps_total alerts_overdue_steps "
        "alerts_set_aside_total loop_progress_age_seconds",
    "Is anybody waiting for an answer, and how long?":
        "alerts_open alerts_unacknowledged alerts_oldest_unacknowledged_age_seconds "
        "alerts_commands_total",
    "Does what is decided reach a person, and is one there?":
        "alerts_deliveries_total alerts_undelivered_age_seconds alerts_roles_without_duty "
        "alerts_nobody_on_duty_total",
    "Does anything pile up on the way?":
        "worker_lag_records worker_oldest_unread_age_seconds worker_records_total "
        "outbox_unsent_records relay_records_total risk_mark_age_seconds alerts_waiting_moves",
    "What could nobody read?":
        "dead_letters worker_dead_letters_total intake_kept_items intake_changes_total",
    "How much do we not know?":
        "risk_assessments_total risk_unknown_assessments_total",
    "Who looks beyond their own areas?":
        "console_glasses",
    "Is it up and sound?":
        "ready http_requests_total http_request_duration_seconds loop_turns_total "
        "loop_errors_total disk_free_bytes disk_size_bytes",
}  # fmt: skip
"""What people ask, and the metrics (without their prefix) that answer it; each once."""


class Metrics:
    """Counts, gauges and timings of one process. Thread-safe.

    Args:
        registry: Where they live; a new one by default, so that tests never share.
        process: Add the operating system's figures for this process.
    """

    def __init__(self, registry: CollectorRegistry | None = None, *, process: bool = False) -> None:
        self._registry = registry or CollectorRegistry()
        self._metrics = {
            name: _make(name, spec, self._registry) for name, spec in CATALOGUE.items()
        }
        _begin(self._metrics)
        self._children: dict[tuple[str, ...], Counter | Gauge | Histogram] = {}
        self._named: dict[tuple[str, str], set[str]] = {}
        self._lock = threading.Lock()
        self._on_scrape: list[Callable[[], None]] = []
        if process:
            ProcessCollector(registry=self._registry)
            PlatformCollector(registry=self._registry)

    def count(self, name: MetricName, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        child = self._child(name, labels)
        if not isinstance(child, Counter):
            raise TypeError(f"metric {name!r} is no counter")
        child.inc(amount)

    def observe(self, name: MetricName, value: float, **labels: str) -> None:
        """Add one observation to a histogram."""
        child = self._child(name, labels)
        if not isinstance(child, Histogram):
            raise TypeError(f"metric {name!r} is no histogram")
        child.observe(value)

    def set(self, name: MetricName, value: float, **labels: str) -> None:
        """Set a gauge."""
        child = self._child(name, labels)
        if not isinstance(child, Gauge):
            raise TypeError(f"metric {name!r} is no gauge")
        child.set(value)

    def value(self, name: MetricName, **labels: str) -> float:
        """Return what a counter or gauge stands at; 0 when it was never touched."""
        return self._registry.get_sample_value(name, labels) or 0.0

    def on_scrape(self, call: Callable[[], None]) -> None:
        """Have `call` set its gauges before each rendering."""
        self._on_scrape.append(call)

    def render(self) -> tuple[bytes, str]:
        """Return the text that Prometheus reads, and its content type."""
        for call in self._on_scrape:
            call()
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4

    def _child(self, name: MetricName, labels: dict[str, str]) -> Counter | Gauge | Histogram:
        key = (name, *labels, *labels.values())
        child = self._children.get(key)
        if child is None:
            self._check(name, labels)
            parent = self._metrics[name]
            child = parent.labels(**labels) if labels else parent
            self._children[key] = child
        return child

    def _check(self, name: MetricName, labels: dict[str, str]) -> None:
        allowed = CATALOGUE[name].labels
        if labels.keys() != allowed.keys():
            raise ValueError(
                f"metric {name!r}: labels {sorted(labels)!r}, expected {sorted(allowed)!r}"
            )
        for label, value in labels.items():
            closed = allowed[label]
            if closed is not None and value not in closed:
                raise ValueError(f"metric {name!r}: {label} is not one of {closed!r}")
            if closed is None:
                self._check_named(name, label, value)

    def _check_named(self, name: str, label: str, value: str) -> None:
        with self._lock:
            known = self._named.setdefault((name, label), set())
            known.add(value)
            if not _NAMED.fullmatch(value) or len(known) > _MOST_NAMED:
                raise ValueError(
                    f"metric {name!r}: {label} takes names given in code, at most {_MOST_NAMED} "
                    "of them; never ids or text that somebody typed"
                )


def _make(name: str, spec: Spec, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    names = tuple(spec.labels)
    if spec.kind == "counter":
        return Counter(name, spec.meaning, names, registry=registry)
    if spec.kind == "gauge":
        return Gauge(name, spec.meaning, names, registry=registry)
    return Histogram(name, spec.meaning, names, registry=registry, buckets=spec.buckets)


def _begin(metrics: Mapping[MetricName, Counter | Gauge | Histogram]) -> None:
    """Make the series of closed label sets, so that the first event is an increase from 0."""
    for name, spec in CATALOGUE.items():
        sets = [values for values in spec.labels.values() if values is not None]
        if spec.kind != "gauge" and sets and len(sets) == len(spec.labels):
            for values in itertools.product(*sets):
                metrics[name].labels(*values)


def catalogue_markdown() -> str:
    """Return `docs/metrics.md`."""
    lines = [
        "# Metrics",
        "",
        "Generated: `python -m services.kernel.metrics > docs/metrics.md`. Every process shows its",
        "own at `/metrics`; no label holds a person, a household or text that somebody typed.",
        "Charts and alarms: [monitoring.md](monitoring.md).",
    ]
    for question, names in QUESTIONS.items():
        lines += [
            "",
            f"## {question}",
            "",
            "| name | kind | unit | labels | meaning |",
            "| --- | --- | --- | --- | --- |",
        ]
        lines += [_row(name) for name in names.split()]
    return "\n".join(lines) + "\n"


def _row(short: str) -> str:
    name: MetricName = next(n for n in get_args(MetricName) if n == _PREFIX + short)
    spec = CATALOGUE[name]
    labels = "; ".join(
        label if closed is None else f"{label}: {', '.join(closed)}"
        for label, closed in spec.labels.items()
    )
    return f"| `{name}` | {spec.kind} | {spec.unit} | {labels} | {spec.meaning} |"


if __name__ == "__main__":
    sys.stdout.write(catalogue_markdown())
