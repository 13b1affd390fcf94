from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.console.figures import Figures, Station
from services.console.glass import Counts
from services.console.pages.ops import amount, lasting, size
from services.console.panels import Panel, panels
from services.kernel.metrics import CATALOGUE, Metrics

ALERT = "hearthwatch_alerts_change_to_alert_seconds"
TEXT = f"""\
# HELP {ALERT} how long
# TYPE {ALERT} histogram
{ALERT}_bucket{{cause="fact",le="0.5",level="3"}} 8
{ALERT}_bucket{{cause="fact",le="1.0",level="3"}} 9
{ALERT}_bucket{{cause="fact",le="+Inf",level="3"}} 10
{ALERT}_count{{cause="fact",level="3"}} 10
hearthwatch_ready{{service="alerts"}} 1
odd{{name="a \\"b\\" \\\\ c\\nd"}} 1.5 1700000000
no number here NaNN
broken{{
"""


def metrics_text(*sets: tuple[str, float, dict[str, str]]) -> str:
    """Return what a process with these gauges shows."""
    metrics = Metrics()
    for name, value, labels in sets:
        metrics.set(name, value, **labels)  # type: ignore[arg-type]
    return metrics.render()[0].decode()


def of(found: list[Panel], name: str) -> Panel:
    return next(panel for panel in found if panel.name == name)


class TestFigures:
    def test_labels_and_values_are_read_and_what_cannot_be_is_passed_over(self) -> None:
        figures = Figures(TEXT)
        assert figures.value("hearthwatch_ready", service="alerts") == 1
        assert figures.of("odd")[0].labels == {"name": 'a "b" \\ c\nd'}
        assert figures.of("broken") == figures.of("no") == []

    def test_what_is_not_there_is_none_and_not_zero(self) -> None:
        assert Figures("").value("hearthwatch_dead_letters") is None
        assert Figures(TEXT).value("hearthwatch_ready", service="risk") is None
        assert Figures("").quantile(ALERT, 0.5) is None
        assert Figures("").share_within(ALERT, 1.0) is None

    @pytest.mark.parametrize(
        ("share", "value"), [(0.4, 0.25), (0.8, 0.5), (0.85, 0.75), (0.9, 1.0), (0.99, 1.0)]
    )
    def test_a_quantile_lies_where_the_buckets_say(self, share: float, value: float) -> None:
        assert Figures(TEXT).quantile(ALERT, share) == pytest.approx(value)

    def test_a_share_is_that_of_the_bucket(self) -> None:
        assert Figures(TEXT).share_within(ALERT, 0.5, level="3") == 0.8
        assert Figures(TEXT).count(ALERT) == 10

    def test_services_of_one_process_are_counted_once(self) -> None:
        text = metrics_text(
            ("hearthwatch_ready", 1, {"service": "risk"}),
            ("hearthwatch_ready", 1, {"service": "alerts"}),
            ("hearthwatch_worker_lag_records", 3, {"worker": "risk"}),
        )
        together = Station({"risk": text, "alerts": text})
        assert [name for name, _ in together.processes()] == [""]
        assert len(list(together.of("hearthwatch_worker_lag_records"))) == 1
        apart = Station({"risk": TEXT, "alerts": TEXT})
        assert [name for name, _ in apart.processes()] == ["risk", "alerts"]


class TestPanels:
    def test_without_any_answer_nothing_is_called_good(self) -> None:
        found = panels(Station({}), None)
        for panel in found:
            assert panel.state in ("bad", "unknown", "plain"), panel
        assert of(found, "services").state == "bad"
        assert of(found, "oldest").state == of(found, "disk").state == "unknown"

    def test_every_metric_that_is_asked_for_is_in_the_catalogue(self) -> None:
        asked: set[str] = set()

        class Listening(Station):
            def __getitem__(self, service: str) -> Figures:
                return spy

            def of(self, name: str) -> list[object]:  # type: ignore[override]
                asked.add(name)
                return []

        class Spy(Figures):
            def of(self, name: str, **_: str) -> list[object]:  # type: ignore[override]
                asked.add(name)
                return []

        spy = Spy()
        panels(Listening({}), 1)
        kinds = ("_bucket", "_count")
        plain = {name.removesuffix(kind) for name in asked for kind in kinds if kind in name}
        plain |= {name for name in asked if not name.endswith(kinds)}
        assert plain - set(CATALOGUE) == set()
        assert len(plain) > 10

    def test_the_page_asks_what_the_dashboard_asks(self, root: Path) -> None:
        folder = root / "deploy" / "monitoring" / "grafana" / "dashboards"
        dashboard = (folder / "hearthwatch.json").read_text(encoding="utf-8")
        page = (root / "services" / "console" / "panels.py").read_text(encoding="utf-8")
        asked = set(re.findall(r'"(hearthwatch_\w+)"', page))
        assert [name for name in asked if name not in dashboard] == []

    @pytest.mark.parametrize(
        ("name", "metric", "labels", "states"),
        [
            ("oldest", "hearthwatch_alerts_oldest_unacknowledged_age_seconds", {"level": "3"},
             [(299, "good"), (301, "warn"), (601, "bad")]),
            ("duty", "hearthwatch_alerts_roles_without_duty", {}, [(0, "good"), (1, "bad")]),
            ("marks", "hearthwatch_risk_mark_age_seconds", {"service": "risk"},
             [(19, "good"), (21, "warn"), (61, "bad")]),
            ("delivered", "hearthwatch_alerts_undelivered_age_seconds", {},
             [(9, "good"), (11, "warn"), (61, "bad")]),
            ("dead", "hearthwatch_dead_letters", {}, [(0, "good"), (1, "bad")]),
            ("dead", "hearthwatch_intake_kept_items", {"grave": "yes"}, [(0, "good"), (1, "bad")]),
            ("dead", "hearthwatch_intake_kept_items", {"grave": "no"}, [(0, "good"), (1, "warn")]),
            ("late", "hearthwatch_alerts_overdue_steps", {}, [(0, "good"), (1, "bad")]),
        ],
    )  # fmt: skip
    def test_each_bar_is_where_it_is_said_to_be(
        self, name: str, metric: str, labels: dict[str, str], states: list[tuple[float, str]]
    ) -> None:
        for value, state in states:
            text = metrics_text((metric, value, labels))
            station = Station(dict.fromkeys(("intake", "registry", "risk", "alerts"), text))
            rows = of(panels(station, 1), name).rows
            assert state in [row.state for row in rows if row.value == value], (value, rows)

    def test_a_disk_that_fills_is_told_before_it_is_full(self) -> None:
        for free, state in ((30.0, "good"), (15.0, "warn"), (5.0, "bad")):
            text = metrics_text(
                ("hearthwatch_disk_free_bytes", free, {}), ("hearthwatch_disk_size_bytes", 100, {})
            )
            assert of(panels(Station({"intake": text}), 1), "disk").state == state

    @pytest.mark.parametrize(("late", "state"), [(0, "good"), (1, "warn")])
    def test_a_glass_that_nobody_reviews_for_a_day_is_told(self, late: int, state: str) -> None:
        found = panels(Station({}), 1, Counts(open=2, unreviewed=3, late=late))
        assert of(found, "glass").state == state
        assert "glass" not in [panel.name for panel in panels(Station({}), 1)]

    @pytest.mark.parametrize(("turns", "state"), [(None, "unknown"), (0, "bad"), (2, "good")])
    def test_without_a_roster_nobody_is_on_duty(self, turns: int | None, state: str) -> None:
        assert of(panels(Station({}), turns), "duty").rows[0].state == state

    def test_alerts_that_came_late_are_seen(self) -> None:
        assert of(panels(Station({"alerts": TEXT}), 1), "to_alert").rows[0].state == "warn"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (0.25, "0.25 s"), (42, "42 s"), (600, "10 min"), (9_000, "2.5 h"),
     (200_000, "2.3 d")],
)  # fmt: skip
def test_durations_are_read_at_a_glance(seconds: float, shown: str) -> None:
    assert lasting(seconds) == shown


def test_sizes_and_counts_have_units_and_thousands() -> None:
    assert size(0) == "0 B"
    assert size(71 * 1024**3) == "71 GiB"
    assert size(3 * 1024**4) == "3.0 TiB"
    assert amount(1_234_567) == "1,234,567"
