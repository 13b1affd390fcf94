"""Prometheus of one test alone, and what a live one is asked."""

from __future__ import annotations

import json
import os
import shutil
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.kernel.clock import SystemMonotonic
from tests.arch.tree import ROOT
from tests.conftest import missing
from tests.deploy.conftest import Command, own_instance

_LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Live:
    """A Prometheus that runs."""

    url: str

    def ask(self, path: str, **query: str) -> Any:
        full = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with _LOCAL.open(full, timeout=10) as answer:
            return json.load(answer)["data"]

    def values(self, query: str) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of every series of an instant query."""
        found = self.ask("query", query=query)
        assert found["resultType"] == "vector", query
        return [(each["metric"], float(each["value"][1])) for each in found["result"]]

    def firing(self) -> set[str]:
        alerts = self.ask("alerts")["alerts"]
        return {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}

    def fired(self) -> set[str]:
        """Return the alarms that fired at any time of the last half hour."""
        found = self.values('count_over_time(ALERTS{alertstate="firing"}[30m])')
        return {labels["alertname"] for labels, _ in found}


def until(so: Callable[[], bool], what: Callable[[], object], patience_s: float = 40) -> None:
    """Wait until it is so; fail with what is the case instead."""
    monotonic, never = SystemMonotonic(), threading.Event()
    end_s = monotonic.seconds() + patience_s
    while not so():
        assert monotonic.seconds() < end_s, f"not within {patience_s:.0f} s: {what()}"
        monotonic.wait(never, 0.2)


@pytest.fixture
def prometheus() -> Iterator[Command]:
    yield from own_instance(ROOT, "prometheus")


@pytest.fixture(scope="session")
def promtool() -> Path:
    """Return promtool: the machine's, or the one that deploy/prometheus has fetched."""
    fetched = ROOT / "build" / "prometheus" / "debian" / "usr" / "bin" / "promtool"
    found = shutil.which("promtool") or (str(fetched) if fetched.is_file() else None)
    if found is None:
        missing(
            "no promtool: expected it installed or below build/prometheus; "
            "run deploy/prometheus up, which fetches it",
            required=os.environ.get("REQUIRE_CONNECTED") == "1",
        )
    return Path(found)
