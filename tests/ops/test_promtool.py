from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from services.kernel.metrics import CATALOGUE, Metrics
from tests.arch.tree import ROOT

FOLDER = ROOT / "deploy" / "monitoring"


def told(promtool: Path, *words: str | Path, text: bytes = b"") -> str:
    """Run promtool; return what it says, which must be good."""
    done = subprocess.run(
        [promtool, *words], input=text, capture_output=True, cwd=FOLDER, check=False
    )
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


@pytest.mark.connected
@pytest.mark.parametrize("config", ["prometheus.yml", "prometheus-embedded.yml"])
def test_a_configuration_is_taken_with_its_rules(promtool: Path, config: str) -> None:
    assert "SUCCESS" in told(promtool, "check", "config", config)


@pytest.mark.connected
@pytest.mark.slow
def test_every_alarm_fires_when_it_should_and_is_quiet_when_it_should(promtool: Path) -> None:
    assert "SUCCESS" in told(promtool, "test", "rules", "rules/tests/hearthwatch.yml")


@pytest.mark.connected
def test_metrics_are_named_as_prometheus_wants_it(promtool: Path) -> None:
    metrics = Metrics()
    for name, spec in CATALOGUE.items():
        labels = {label: values[0] if values else "one" for label, values in spec.labels.items()}
        if spec.kind == "counter":
            metrics.count(name, 1, **labels)
        elif spec.kind == "gauge":
            metrics.set(name, 1, **labels)
        else:
            metrics.observe(name, 1, **labels)
    assert told(promtool, "check", "metrics", text=metrics.render()[0]) == ""
