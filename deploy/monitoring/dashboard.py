"""Writes the dashboard from its panels: `python deploy/monitoring/dashboard.py`.

The result, grafana/dashboards/hearthwatch.json, is committed; a test refuses a stale one.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from deploy.monitoring.panels import ROWS, Panel

TARGET: Final = Path(__file__).parent / "grafana" / "dashboards" / "hearthwatch.json"
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH: Final = 24
_HEIGHT: Final = {"timeseries": 8, "stat": 4}


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana reads it (schema 39, Grafana 11)."""
    return {
        "uid": "hearthwatch",
        "title": "Hearthwatch 守望",
        "description": "What people ask of a running Hearthwatch. 值班与运维关心的问题。",
        "tags": ["hearthwatch"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "15s",
        "time": {"from": "now-6h", "to": "now"},
        "annotations": {"list": []},
        "links": [],
        "templating": {
            "list": [
                {
                    "name": "datasource",
                    "label": "Prometheus",
                    "type": "datasource",
                    "query": "prometheus",
                    "current": {},
                    "hide": 0,
                    "refresh": 1,
                }
            ]
        },
        "panels": list(_panels()),
    }


def text() -> str:
    """Return the file's content."""
    return json.dumps(dashboard(), ensure_ascii=False, indent=1) + "\n"


def _panels() -> Iterator[dict[str, Any]]:
    number, y = 1, 0
    for row in ROWS:
        yield {
            "id": number,
            "type": "row",
            "title": f"{row.en} {row.zh}",
            "collapsed": False,
            "panels": [],
            "gridPos": {"x": 0, "y": y, "w": _WIDTH, "h": 1},
        }
        number, y = number + 1, y + 1
        x = tallest = 0
        for panel in row.panels:
            height = _HEIGHT[panel.kind]
            if x + panel.width > _WIDTH:
                x, y, tallest = 0, y + tallest, 0
            place = {"x": x, "y": y, "w": panel.width, "h": height}
            yield {"id": number, "gridPos": place, **_panel(panel)}
            number, x, tallest = number + 1, x + panel.width, max(tallest, height)
        y += tallest


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "type": panel.kind,
        "title": f"{panel.en} {panel.zh}",
        "description": panel.about,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _options(panel),
        "targets": [
            {
                "refId": chr(ord("A") + n),
                "datasource": _SOURCE,
                "expr": query,
                "legendFormat": legend or "__auto",
                "range": panel.kind == "timeseries",
                "instant": panel.kind == "stat",
            }
            for n, (query, legend) in enumerate(panel.queries)
        ],
    }


def _field(panel: Panel) -> dict[str, Any]:
    if panel.below is not None:
        steps = [{"color": "red", "value": None}, {"color": "green", "value": panel.below}]
    else:
        steps = [{"color": "green", "value": None}]
        steps += [] if panel.limit is None else [{"color": "red", "value": panel.limit}]
    field: dict[str, Any] = {
        "unit": panel.unit,
        "min": 0,
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    if panel.kind == "stat":
        return field | {"color": {"mode": "thresholds"}, "noValue": "–"}
    shown = "off" if len(steps) == 1 else "line"
    return field | {"custom": {"lineWidth": 1, "thresholdsStyle": {"mode": shown}}}


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "stat":
        reduced = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        return {"reduceOptions": reduced, "colorMode": "background", "graphMode": "area"}
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
    return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}


if __name__ == "__main__":
    TARGET.write_text(text(), "utf-8")
