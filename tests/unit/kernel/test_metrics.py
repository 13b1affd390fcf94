from __future__ import annotations

import re
from pathlib import Path
from typing import Final, get_args

import pytest

from services.kernel.metrics import (
    CATALOGUE,
    QUESTIONS,
    MetricName,
    Metrics,
    catalogue_markdown,
)

CHANGES: Final = "hearthwatch_intake_changes_total"


def test_every_name_is_in_the_catalogue_and_the_other_way_round() -> None:
    assert set(get_args(MetricName)) == set(CATALOGUE)


def test_every_metric_answers_one_question() -> None:
    named = [f"hearthwatch_{name}" for names in QUESTIONS.values() for name in names.split()]
    assert sorted(named) == sorted(CATALOGUE)


def test_every_metric_is_set_by_the_code(root: Path) -> None:
    sources = [path.read_text("utf-8") for path in (root / "services").rglob("*.py")]
    for name in CATALOGUE:
        assert sum(source.count(f'"{name}"') for source in sources) > 2, f"nobody sets {name}"


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_name_says_system_and_kind(name: MetricName) -> None:
    spec = CATALOGUE[name]
    assert re.fullmatch(r"hearthwatch_[a-z0-9_]+", name)
    assert name.endswith("_total") == (spec.kind == "counter")
    assert bool(spec.buckets) == (spec.kind == "histogram")
    assert name.endswith("_seconds") == (spec.unit == "seconds")


def test_the_page_in_docs_is_fresh(root: Path) -> None:
    page = (root / "docs" / "metrics.md").read_text("utf-8")
    assert page == catalogue_markdown(), "run python -m services.kernel.metrics > docs/metrics.md"


def test_what_was_counted_is_rendered_without_created_series() -> None:
    metrics = Metrics()
    metrics.count(CHANGES, 2, outcome="accepted")
    metrics.set("hearthwatch_alerts_open", 3, level="3")
    metrics.observe("hearthwatch_alerts_step_lateness_seconds", 1.5)
    text, media_type = metrics.render()
    assert media_type.startswith("text/plain")
    assert b'hearthwatch_intake_changes_total{outcome="accepted"} 2.0' in text
    assert b'hearthwatch_alerts_open{level="3"} 3.0' in text
    assert b'hearthwatch_alerts_step_lateness_seconds_bucket{le="2.0"} 1.0' in text
    assert b"_created" not in text
    assert metrics.value(CHANGES, outcome="accepted") == 2
    assert metrics.value(CHANGES, outcome="rejected") == 0


def test_gauges_are_asked_for_at_each_rendering() -> None:
    metrics = Metrics()
    values = iter([1.0, 2.0])
    metrics.on_scrape(lambda: metrics.set("hearthwatch_ready", next(values), service="risk"))
    for expected in (1.0, 2.0):
        metrics.render()
        assert metrics.value("hearthwatch_ready", service="risk") == expected


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"outcome": "lost"},
        {"outcome": "accepted", "household": "h-1"},
        {"household": "h-1"},
    ],
)
def test_labels_outside_the_closed_set_are_refused(labels: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=CHANGES):
        Metrics().count(CHANGES, **labels)  # type: ignore[arg-type]


def test_a_label_takes_names_and_no_text() -> None:
    metrics = Metrics()
    metrics.count("hearthwatch_relay_records_total", service="intake")
    for text in ("张三", "a b", "", "x" * 97):
        with pytest.raises(ValueError, match="never ids or text"):
            metrics.count("hearthwatch_relay_records_total", service=text)


def test_a_label_that_takes_too_many_names_is_refused() -> None:
    metrics = Metrics()
    for number in range(300):
        metrics.count("hearthwatch_relay_records_total", service=f"s{number}")
    with pytest.raises(ValueError, match="at most 300"):
        metrics.count("hearthwatch_relay_records_total", service="s300")


def test_a_verb_of_another_kind_is_refused() -> None:
    metrics = Metrics()
    with pytest.raises(TypeError):
        metrics.set(CHANGES, 1, outcome="accepted")
    with pytest.raises(TypeError):
        metrics.observe(CHANGES, 1, outcome="accepted")
    with pytest.raises(TypeError):
        metrics.count("hearthwatch_ready", service="risk")


def test_two_sets_share_nothing() -> None:
    one, other = Metrics(), Metrics(process=True)
    one.count(CHANGES, outcome="accepted")
    assert other.value(CHANGES, outcome="accepted") == 0
    assert b"process_resident_memory_bytes" in other.render()[0]
