"""The panels of the ops page: the same questions as the dashboard's, each with its judgement.

Thresholds are the bars of the design and the service levels of the town; what is not known is said
to be unknown, never shown as good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple

from services.console.figures import Figures, Station
from services.console.glass import Counts

State = Literal["good", "warn", "bad", "unknown", "plain"]
Unit = Literal["seconds", "count", "share", "bytes", "word"]

LEVELS: Final = ("3", "2", "1", "0")
_ALERT: Final = "hearthwatch_alerts_change_to_alert_seconds"
_LATE: Final = "hearthwatch_alerts_step_lateness_seconds"
_MOST: Final = 0.99
_FACT_BAR_S: Final = 1.0
_TIME_BAR_S: Final = 5.0
_LATE_BARS_S: Final = (2.0, 5.0)
_UNANSWERED_S: Final = {"3": (300.0, 600.0), "2": (7_200.0, 14_400.0), "1": (43_200.0, 86_400.0),
                        "0": (129_600.0, 259_200.0)}  # fmt: skip
"""Half of the time to acknowledge, and all of it (domain notes 6.7)."""
_UNREAD_S: Final = (10.0, 60.0)
_UNSENT: Final = (100.0, 10_000.0)
_MARK_S: Final = (20.0, 60.0)
_TURN_S: Final = (30.0, 60.0)
_UNKNOWN_SHARE: Final = (0.3, 0.6)
_DISK_FREE: Final = (0.2, 0.1)


class Row(NamedTuple):
    """One figure. `label` is a key of the words or a name that the code gives (`plain_label`)."""

    label: str
    value: float | None
    unit: Unit
    state: State
    note: float | None = None
    plain_label: bool = False


class Panel(NamedTuple):
    """One question with its figures, worst first where there are many."""

    name: str
    rows: list[Row]

    @property
    def state(self) -> State:
        """The worst of its rows."""
        states = [row.state for row in self.rows]
        return next(
            (each for each in ("bad", "warn", "unknown", "good") if each in states), "plain"
        )


def panels(station: Station, turns: int | None, glasses: Counts | None = None) -> list[Panel]:
    """Return all panels, in the order in which somebody who is called at night asks.

    Args:
        station: What the services count.
        turns: Turns of duty that hold now, None when nobody can say. Without a roster alerts
            misses nobody in it, so that alone would look well.
        glasses: The console's own count; None leaves its panel out.
    """
    found = [Panel(name, list(rows(station))) for name, rows in _PANELS.items()]
    state: State = "unknown" if turns is None else "good" if turns else "bad"
    on_duty = Row("ops.on_duty", turns, "count", state)
    shown = [
        panel._replace(rows=[on_duty, *panel.rows]) if panel.name == "duty" else panel
        for panel in found
    ]
    return shown if glasses is None else [*shown, Panel("glass", _glasses(glasses))]


def above(value: float | None, bars: tuple[float, float]) -> State:
    """Judge a figure that is the worse the larger it is."""
    if value is None:
        return "unknown"
    return "bad" if value > bars[1] else "warn" if value > bars[0] else "good"


def _services(station: Station) -> Iterator[Row]:
    for service in ("intake", "registry", "risk", "alerts"):
        found = station[service].value("hearthwatch_ready", service=service)
        ready = station.answered(service) and found == 1
        state: State = "good" if ready else "bad"
        yield Row(f"service.{service}", float(ready), "word", state)


def _oldest(station: Station) -> Iterator[Row]:
    figures = station["alerts"]
    for level in LEVELS:
        age = figures.value("hearthwatch_alerts_oldest_unacknowledged_age_seconds", level=level)
        waiting = figures.value("hearthwatch_alerts_unacknowledged", level=level)
        yield Row(f"level.{level}", age, "seconds", above(age, _UNANSWERED_S[level]), waiting)


def _duty(station: Station) -> Iterator[Row]:
    figures = station["alerts"]
    bare = figures.value("hearthwatch_alerts_roles_without_duty")
    yield Row("ops.roles_without", bare, "count", above(bare, (0, 0)))
    asked = figures.value("hearthwatch_alerts_nobody_on_duty_total")
    yield Row("ops.nobody_told", asked, "count", "unknown" if asked is None else "plain")


def _late(station: Station) -> Iterator[Row]:
    figures = station["alerts"]
    late = figures.quantile(_LATE, _MOST)
    count = figures.count(_LATE)
    none_yet: State = "plain" if station.answered("alerts") else "unknown"
    yield Row("ops.late_99", late, "seconds", above(late, _LATE_BARS_S) if count else none_yet,
              float(count))  # fmt: skip
    overdue = figures.value("hearthwatch_alerts_overdue_steps")
    yield Row("ops.overdue", overdue, "count", above(overdue, (0, 0)))


def _to_alert(station: Station) -> Iterator[Row]:
    figures = station["alerts"]
    none_yet: State = "plain" if station.answered("alerts") else "unknown"
    for level in LEVELS:
        count = figures.count(_ALERT, level=level)
        if not count:
            yield Row(f"level.{level}", None, "seconds", none_yet, 0.0)
            continue
        took = figures.quantile(_ALERT, _MOST, level=level)
        yield Row(f"level.{level}", took, "seconds", _in_time(figures, level), float(count))


def _in_time(figures: Figures, level: str) -> State:
    """Judge by cause: a fact has 1 s, an absence waits for a mark, which comes every 5 s."""
    states = []
    for cause, bar_s in (("fact", _FACT_BAR_S), ("time", _TIME_BAR_S)):
        within = figures.share_within(_ALERT, bar_s, level=level, cause=cause)
        if within is not None:
            states.append("good" if within >= _MOST else "warn")
    return "warn" if "warn" in states else "good"


def _delivered(station: Station) -> Iterator[Row]:
    figures = station["alerts"]
    age = figures.value("hearthwatch_alerts_undelivered_age_seconds")
    yield Row("ops.undelivered", age, "seconds", above(age, _UNREAD_S))
    for outcome in ("delivered", "retry", "failed"):
        done = figures.value("hearthwatch_alerts_deliveries_total", outcome=outcome) or 0.0
        state: State = "warn" if outcome == "failed" and done else "plain"
        yield Row(f"ops.delivery.{outcome}", done, "count", state)


def _lag(station: Station) -> Iterator[Row]:
    ages = {
        each.labels.get("worker", ""): each.value
        for each in station.of("hearthwatch_worker_oldest_unread_age_seconds")
    }
    for each in station.of("hearthwatch_worker_lag_records"):
        worker = each.labels.get("worker", "")
        age = ages.get(worker)
        yield Row(worker, age, "seconds", above(age, _UNREAD_S), each.value, plain_label=True)
    if not ages:
        yield Row("ops.workers", None, "seconds", "unknown")
    unsent = [each.value for each in station.of("hearthwatch_outbox_unsent_records")]
    yield Row("ops.unsent", max(unsent, default=None), "count",
              above(max(unsent, default=None), _UNSENT))  # fmt: skip
    moves = station["alerts"].value("hearthwatch_alerts_waiting_moves")
    yield Row("ops.moves", moves, "count", above(moves, (0, float("inf"))))


def _marks(station: Station) -> Iterator[Row]:
    for service in ("risk", "alerts"):
        age = station[service].value("hearthwatch_risk_mark_age_seconds", service=service)
        yield Row(f"service.{service}", age, "seconds", above(age, _MARK_S))
    slowest: dict[str, float] = {}
    for each in station.of("hearthwatch_loop_progress_age_seconds"):
        slowest[each.labels.get("loop", "")] = each.value
    for loop, age in sorted(slowest.items(), key=lambda item: -item[1])[:3]:
        yield Row(loop, age, "seconds", above(age, _TURN_S), plain_label=True)
    bugs = [e.value for e in station.of("hearthwatch_loop_errors_total") if e.fits({"kind": "bug"})]
    known: State = above(sum(bugs), (0, float("inf"))) if slowest else "unknown"
    yield Row("ops.bugs", sum(bugs) if slowest else None, "count", known)


def _dead(station: Station) -> Iterator[Row]:
    dead = [each.value for each in station.of("hearthwatch_dead_letters")]
    yield Row("ops.dead", max(dead, default=None), "count", above(max(dead, default=None), (0, 0)))
    for grave, bars in (("yes", (0.0, 0.0)), ("no", (0.0, float("inf")))):
        kept = station["intake"].value("hearthwatch_intake_kept_items", grave=grave)
        yield Row(f"ops.kept.{grave}", kept, "count", above(kept, bars))


def _unknown(station: Station) -> Iterator[Row]:
    figures = station["risk"]
    for level in LEVELS:
        whole = figures.value("hearthwatch_risk_assessments_total", level=level)
        part = figures.value("hearthwatch_risk_unknown_assessments_total", level=level) or 0.0
        share = part / whole if whole else None
        state: State = "unknown" if whole is None else "plain"
        yield Row(f"level.{level}", share, "share",
                  above(share, _UNKNOWN_SHARE) if whole else state, whole)  # fmt: skip


def _disk(station: Station) -> Iterator[Row]:
    for service, figures in list(station.processes()) or [("", Figures())]:
        free = figures.value("hearthwatch_disk_free_bytes")
        size = figures.value("hearthwatch_disk_size_bytes")
        share = free / size if free is not None and size else None
        state: State = "unknown"
        if share is not None:
            low, lowest = _DISK_FREE
            state = "bad" if share < lowest else "warn" if share < low else "good"
        yield Row(f"service.{service}" if service else "ops.disk_free", share, "share", state, free)


def _glasses(found: Counts) -> list[Row]:
    return [
        Row("ops.glass_open", found.open, "count", "plain"),
        Row("ops.glass_unreviewed", found.unreviewed, "count", "plain"),
        Row("ops.glass_late", found.late, "count", above(found.late, (0, float("inf")))),
    ]


_PANELS: Final[dict[str, Callable[[Station], Iterator[Row]]]] = {
    "services": _services,
    "oldest": _oldest,
    "duty": _duty,
    "late": _late,
    "to_alert": _to_alert,
    "delivered": _delivered,
    "lag": _lag,
    "marks": _marks,
    "dead": _dead,
    "unknown": _unknown,
    "disk": _disk,
}
