"""Alarms and dashboard held against the catalogue of metrics, the runbook and each other."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pytest
import typer
import yaml

from deploy.monitoring.dashboard import TARGET, dashboard, text
from deploy.monitoring.panels import ROWS
from services.allinone import cli
from services.kernel.metrics import CATALOGUE, QUESTIONS
from tests.arch.links import anchors
from tests.arch.tree import ROOT

FOLDER: Final = ROOT / "deploy" / "monitoring"
RULES: Final = yaml.safe_load((FOLDER / "rules" / "hearthwatch.yml").read_text("utf-8"))
TESTS: Final = yaml.safe_load((FOLDER / "rules" / "tests" / "hearthwatch.yml").read_text("utf-8"))
ALARMS: Final[dict[str, dict[str, Any]]] = {
    rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule
}
RECORDED: Final = {
    rule["record"]: rule["expr"]
    for group in RULES["groups"]
    for rule in group["rules"]
    if "record" in rule
}
PANELS: Final = [panel for row in ROWS for panel in row.panels]
QUERIES: Final = [query for panel in PANELS for query, _ in panel.queries]
EXPRESSIONS: Final = [
    *QUERIES,
    *(alarm["expr"] for alarm in ALARMS.values()),
    *RECORDED.values(),
]
OPERATORS: Final = [ROOT / "docs" / f"{name}.md"
                    for name in ("runbook", "monitoring", "console", "deployed")]  # fmt: skip
CHINESE: Final = re.compile(r"[\u4e00-\u9fff]")
SERIES: Final = re.compile(r"\b(hearthwatch_[a-z_]+)(?:\{([^}]*)\})?")
FOREIGN_LABELS: Final = {"job", "instance", "le", "alertname", "alertstate"}


def spec_of(series: str) -> str:
    """Return the catalogue's name of a series."""
    if series in CATALOGUE:
        return series
    name = re.sub(r"_(bucket|count|sum)$", "", series)
    assert CATALOGUE[name].kind == "histogram", series  # type: ignore[index]
    return name


def labels_in(selector: str) -> list[tuple[str, str, str]]:
    return re.findall(r'(\w+)\s*(=~|!=|!~|=)\s*"([^"]*)"', selector)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_series_and_labels_are_those_of_the_catalogue(expression: str) -> None:
    for series, selector in SERIES.findall(expression):
        spec = CATALOGUE[spec_of(series)]  # type: ignore[index]
        edges = {f"{edge:.1f}" for edge in spec.buckets}
        for label, operator, value in labels_in(selector):
            assert label != "le" or value in edges, f"{series}: no bucket ends at {value}"
            if label in FOREIGN_LABELS:
                continue
            assert label in spec.labels, f"{series}: {label}"
            closed = spec.labels[label]
            assert closed is None or operator != "=" or value in closed, f"{series}: {value}"


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_is_grouped_by_is_a_label(expression: str) -> None:
    named = {
        name for found in re.findall(r"by \(([^)]*)\)", expression) for name in found.split(", ")
    }
    known = {name for spec in CATALOGUE.values() for name in spec.labels} | FOREIGN_LABELS
    assert named <= known


def test_every_metric_is_shown_or_watched() -> None:
    used = {spec_of(series) for query in EXPRESSIONS for series, _ in SERIES.findall(query)}
    assert set(CATALOGUE) - used == set()


@pytest.mark.parametrize("alarm", ALARMS.values(), ids=ALARMS.keys())
def test_an_alarm_says_how_grave_it_is_what_it_means_and_what_to_do(alarm: dict[str, Any]) -> None:
    assert alarm["labels"]["severity"] in {"page", "ticket", "none"}
    told = alarm["annotations"]
    assert told["summary"].endswith(".")
    assert CHINESE.search(told["summary_zh"])
    page, _, anchor = told["runbook_url"].partition("#")
    assert anchor == alarm["alert"].lower()
    assert anchor in anchors(ROOT / page)


def test_the_runbook_holds_a_part_for_each_alarm_and_no_other() -> None:
    lines = (ROOT / "docs" / "runbook.md").read_text("utf-8")
    parts = dict(re.findall(r"^### (\w+)\n\n\*\*(\w+)\*\*", lines, re.MULTILINE))
    assert parts == {name: alarm["labels"]["severity"] for name, alarm in ALARMS.items()}
    for part in re.split(r"^###? ", lines, flags=re.MULTILINE)[1:]:
        if part.split("\n")[0] in ALARMS:
            assert CHINESE.search(part), part


@pytest.mark.parametrize("page", OPERATORS, ids=lambda page: page.name)
def test_what_operators_are_told_to_type_and_to_look_at_is_there(page: Path) -> None:
    told = page.read_text("utf-8")
    for series in SERIES.findall(told):
        spec_of(series[0])
    commands: Any = typer.main.get_command(cli.app())
    for line in re.findall(r"(?:^|`|--rm \w+ )hearthwatch ([a-z][^`\n]*)", told, re.MULTILINE):
        found, words = commands, line.split()
        while words and words[0] in getattr(found, "commands", {}):
            found = found.commands[words.pop(0)]
        assert found is not commands, line
        options = {name for each in found.params for name in each.opts} | {"--lang"}
        given = set(re.findall(r"(?<=\s)--[a-z-]+", f" {line.split('#')[0]}"))
        assert given <= options, line
        assert not hasattr(found, "commands") or not words or words[0][0] != "-", line
    for module in re.findall(r"python -m (services[\w.]*\w)", told):
        assert find_spec(module) is not None, module


def test_the_runbook_tells_what_to_do_for_each_alarm() -> None:
    lines = (ROOT / "docs" / "runbook.md").read_text("utf-8")
    for part in re.split(r"^##+ ", lines, flags=re.MULTILINE)[1:]:
        name, _, rest = part.partition("\n")
        if name in ALARMS and name != "DeadMansSwitch":
            assert re.search(r"\bDo\b|Look and do as for", rest), name


def test_every_alarm_is_caused_and_also_kept_quiet_by_a_test() -> None:
    caused: set[str] = set()
    quiet: set[str] = set()
    for each in TESTS["tests"]:
        for check in each["promql_expr_test"]:
            for names in re.findall(r'alertname=~?"([^"]*)"', check["expr"]):
                found = {name for name in ALARMS if re.fullmatch(names, name)}
                assert found, names
                (caused if check["exp_samples"] else quiet).update(found)
    assert caused == set(ALARMS) - {"DeadMansSwitch"}
    assert set(ALARMS) - quiet - {"DeadMansSwitch", "HearthwatchDown"} == set()


def test_the_dashboard_is_what_its_panels_make() -> None:
    stale = "run python deploy/monitoring/dashboard.py"
    assert TARGET.read_text("utf-8") == text(), stale


def test_the_dashboard_is_written_by_a_bare_command(tmp_path: Path) -> None:
    script = "import runpy, sys; sys.argv = ['dashboard.py']; runpy.run_path(sys.argv[0])"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script],
        cwd=FOLDER, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_the_rows_are_the_questions_of_the_catalogue() -> None:
    assert [row.en for row in ROWS] == ["Now", *QUESTIONS]
    assert all(CHINESE.search(row.zh) for row in ROWS)


def test_the_documentation_names_every_row_and_panel() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
    for row in ROWS:
        assert f"**{row.en}** {row.zh} | {'; '.join(each.en for each in row.panels)} |" in page


@pytest.mark.parametrize("panel", PANELS, ids=[panel.en for panel in PANELS])
def test_a_panel_can_be_read_by_anybody(panel: Any) -> None:
    assert CHINESE.search(panel.zh)
    assert panel.about.endswith(".")
    assert panel.unit
    assert panel.queries
    assert all(legend for _, legend in panel.queries) or panel.kind == "stat"


@pytest.mark.parametrize("query", QUERIES)
def test_counters_are_shown_as_rates_over_the_panels_own_interval(query: str) -> None:
    assert set(re.findall(r"\[([^\]]*)\]", query)) <= {"$__rate_interval"}
    for series, _ in SERIES.findall(query):
        if CATALOGUE[spec_of(series)].kind != "gauge":  # type: ignore[index]
            assert re.search(rf"rate\({series}(\{{[^}}]*\}})?\[", query), series


def test_panels_do_not_overlap_and_none_is_empty() -> None:
    taken: set[tuple[int, int]] = set()
    found = dashboard()
    assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])
    for panel in found["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        taken |= cells
        if panel["type"] != "row":
            assert panel["targets"]
            assert panel["datasource"]["uid"] == "${datasource}"
    assert [v["name"] for v in found["templating"]["list"]] == ["datasource"]


def test_grafana_is_given_the_source_and_the_folder_that_compose_mounts() -> None:
    folder = FOLDER / "grafana" / "provisioning"
    source = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text("utf-8"))
    provider = yaml.safe_load((folder / "dashboards" / "hearthwatch.yml").read_text("utf-8"))
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    mounted = [volume.split(":")[1] for volume in compose["services"]["grafana"]["volumes"]]
    assert provider["providers"][0]["options"]["path"] in mounted
    assert "/etc/grafana/provisioning" in mounted
    json.loads(TARGET.read_text("utf-8"))
