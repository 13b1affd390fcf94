"""The deployed form on the wall clock: what it does while broker or database are away.

Each test has servers of its own, which it kills.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from services.kernel.clock import SECOND, SystemClock, parse_rfc3339, rfc3339
from services.kernel.db import roles
from services.kernel.errors import HearthwatchError
from tests.support.deployed import Live, Server, server, wait_until
from tests.support.replay import toy

pytestmark = [
    pytest.mark.connected,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("deployed"),
]
# Long enough that all else is gone before it is over, on a machine that has other things to do too.
LADDER = """\
ladders:
  bell:
    emergency: 30s
    steps:
      - {step: call, after: 0m, to: [porter]}
      - {step: run, after: 30s, to: [matron], until: handled}
"""


AWAY = "expected a broker that answers"


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    folder = toy(tmp_path).pack
    (folder / "alerts.yaml").write_text(LADDER, encoding="utf-8")
    return folder


@pytest.fixture
def broker(server_address: Callable[[str], str]) -> Iterator[Server]:
    server_address("kafka")  # skips, or fails in CI, as every test that needs servers
    with server("kafka", f"live-{os.getpid()}") as found:
        yield found


@pytest.fixture
def database(server_address: Callable[[str], str]) -> Iterator[Server]:
    server_address("postgres")
    with server("postgres", f"live-{os.getpid()}") as found:
        yield found


def ring(live: Live) -> int:
    """Ring a bell; return when."""
    now = SystemClock().now()
    item = {
        "type": "bell.rung", "source": "test", "sourceid": "1", "time": rfc3339(now),
        "person": "guest", "household": "room", "data": {"loudness": 3},
    }  # fmt: skip
    answer = live.apis.send("POST", "intake", "/v1/changes", item, key="ring")
    assert answer["status"] == "accepted"
    return now


def sent(live: Live, step: str) -> dict[str, Any] | None:
    """Return the delivery of a step once it was handed over."""
    try:
        found = list(live.apis.items("alerts", "/v1/deliveries"))
    except HearthwatchError:
        return None
    return next((row for row in found if row["step"] == step and row["sent_at"]), None)


def test_an_open_red_escalates_with_intake_registry_risk_and_broker_gone(
    tmp_path: Path, pack: Path, broker: Server
) -> None:
    with Live(tmp_path / "data", pack, broker.address) as live:
        alone = live.start("alerts")
        others = live.start("intake", "registry", "risk")
        wait_until(lambda: all(live.reasons(n) == [] for n in (*alone.children, *others.children)),
                   "all are ready")  # fmt: skip
        ring(live)
        wait_until(lambda: sent(live, "call") is not None, "the alert is open")
        for child in others.children.values():
            child.signal(9)
        broker.kill()
        others.stop()
        gone_at = SystemClock().now()
        wait_until(lambda: sent(live, "run") is not None, "the step is handed over", 90)
        run = sent(live, "run")
        assert run is not None
        assert gone_at < parse_rfc3339(run["due_at"]), "all was gone before it was due"
        late = parse_rfc3339(run["sent_at"]) - parse_rfc3339(run["due_at"])
        assert 0 <= late <= 5 * SECOND
        assert alone.children["alerts"].starts == 1


def test_the_door_takes_facts_from_its_start_while_the_broker_is_away(
    tmp_path: Path, pack: Path, broker: Server
) -> None:
    broker.kill()
    with Live(tmp_path / "data", pack, broker.address) as live:
        supervisor = live.start()
        wait_until(lambda: AWAY in str(live.reasons("risk")), "risk says why it is not ready")
        rang = ring(live)
        wait_until(lambda: AWAY in str(live.reasons("intake")), "the door says why it is not")
        broker.start()
        wait_until(live.ready, "all are ready by themselves")
        wait_until(lambda: sent(live, "call") is not None, "the fact came through")
        run = next(live.apis.items("alerts", "/v1/alerts"))
        assert parse_rfc3339(run["clock_start"]) <= rang + 5 * SECOND
        assert {child.starts for child in supervisor.children.values()} == {1}


def test_a_database_that_is_away_is_waited_for_at_the_start_and_later(
    tmp_path: Path, pack: Path, database: Server, server_address: Callable[[str], str]
) -> None:
    run = f"r{os.getpid()}"
    own = {
        service: {"HEARTHWATCH_DB_URL": url}
        for service, url in roles.provision(database.address, run=run).items()
    }
    database.kill()
    with Live(tmp_path / "data", pack, server_address("kafka"), only=["intake", "alerts"], own=own,
              HEARTHWATCH_RUN=run) as live:  # fmt: skip
        supervisor = live.start()
        for name in ("intake", "alerts"):
            wait_until(partial(live.reasons, name), "it says why it is not ready")
            assert f"is starting: database of {name}" in str(live.reasons(name))
        database.start()
        wait_until(live.ready, "both are ready by themselves")
        ring(live)
        database.kill()
        wait_until(lambda: "database of intake" in str(live.reasons("intake")), "it is missed")
        database.start()
        wait_until(live.ready, "both are ready again")
        assert {child.starts for child in supervisor.children.values()} == {1}


def test_the_passwords_of_the_services_stay_from_start_to_start(
    tmp_path: Path, database: Server
) -> None:
    first = roles.provision_into(database.address, tmp_path / "db")
    assert roles.provision_into(database.address, tmp_path / "db") == first
    with (
        psycopg.connect(first["risk"]) as conn,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        conn.execute("CREATE TABLE alerts.x()")
    assert (tmp_path / "db" / "risk.url").stat().st_mode & 0o777 == 0o600
