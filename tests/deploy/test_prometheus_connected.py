from __future__ import annotations

import http.server
import json
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy._lib.waiting import require
from tests.deploy.conftest import Command

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.timeout(200)]


class Exporter(http.server.BaseHTTPRequestHandler):
    """A service with one metric."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(b"# TYPE guard_tests_total counter\nguard_tests_total 7\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as inherited
        pass


@pytest.fixture
def exporter() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Exporter) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join(10)


def ask(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own address
        return json.load(answer)["data"]


def value(url: str, query: str) -> str | None:
    found = ask(f"{url}/api/v1/query?query={query}")["result"]
    return found[0]["value"][1] if found else None


def test_a_target_that_is_dropped_in_is_scraped(prometheus: Command, exporter: str) -> None:
    url = prometheus.succeed("up")
    assert prometheus.succeed("up") == url
    assert prometheus.succeed("status") == url
    targets = Path(prometheus("status", "--json").json()["targets"])
    listed = [{"targets": [exporter], "labels": {"service": "test"}}]
    (targets / "test.json").write_text(json.dumps(listed), encoding="utf-8")
    query = 'guard_tests_total{service="test"}'
    require(
        lambda: None if value(url, urllib.parse.quote(query)) == "7" else "no such series",
        60,
        "the target was to be scraped",
    )
    assert prometheus.succeed("down") == "stopped"
    assert prometheus("status").code == 1


def test_a_configuration_of_the_callers_is_used(
    prometheus: Command, exporter: str, tmp_path: Path
) -> None:
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        "scrape_configs:\n"
        f"  - {{job_name: mine, static_configs: [{{targets: ['{exporter}']}}]}}\n",
        encoding="utf-8",
    )
    url = prometheus.succeed("up", "--config", str(config))
    require(
        lambda: None if value(url, "guard_tests_total") == "7" else "no such series",
        60,
        "the target was to be scraped",
    )
    pools = {target["scrapePool"] for target in ask(f"{url}/api/v1/targets")["activeTargets"]}
    assert pools == {"mine"}
    other = prometheus("up", "--config", str(tmp_path / "other.yml"))
    assert other.code == 1
    assert f"already running with {config}" in other.err


def test_a_broken_configuration_is_refused_before_anything_starts(
    prometheus: Command, tmp_path: Path
) -> None:
    config = tmp_path / "prometheus.yml"
    config.write_text("scrape_configs: [{job: mine}]\n", encoding="utf-8")
    answer = prometheus("up", "--config", str(config))
    assert answer.code == 1
    assert f"would not take {config}" in answer.err
    assert "field job not found" in answer.err
    assert prometheus("status").code == 1
    missing = prometheus("up", "--config", str(tmp_path / "none.yml"))
    assert (missing.code, "no such file" in missing.err) == (1, True)


def test_the_server_runs_unprivileged(prometheus: Command) -> None:
    prometheus.succeed("up")
    known = prometheus("status", "--json").json()
    assert (Path("/proc") / str(known["pid"])).stat().st_uid != 0
