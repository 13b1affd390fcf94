"""Everything that can be killed is killed while records are in flight: same digest, doctor zero.

Each test has servers of its own. How long things took to work again stands in build/recovery.json.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.allinone.replay.engines import Engines
from services.allinone.replay.kept import kept_of
from services.kernel.bus.kafka import KafkaBus
from services.kernel.bus.kafka_consumer import HEARTBEAT_MS, SESSION_MS
from services.kernel.bus.lag import lag_of
from services.kernel.bus.prefixed import PrefixedBus
from services.kernel.clock import SystemMonotonic
from services.kernel.contracts.topics import CHANGES
from tests.support.deployed import (
    Server,
    assert_same,
    passed,
    sepsis,
    server,
    short_log,
    truth,
    wait_until,
)
from tests.support.recovery import Killer, Row, Watch, keep

pytestmark = [
    pytest.mark.connected,
    pytest.mark.data,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("deployed"),
]
ROWS = 1500
BATCH = 25


@pytest.fixture(scope="module")
def log(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return short_log(data_dir, tmp_path_factory.mktemp("log"), ROWS)


@pytest.fixture(scope="module")
def expected(log: Path) -> dict[str, Any]:
    return truth(sepsis(log))


@pytest.fixture(scope="module")
def broker(server_address: Callable[[str], str]) -> Iterator[Server]:
    server_address("kafka")  # skips, or fails in CI, as every test that needs servers
    with server("kafka", f"faults-{os.getpid()}") as found:
        yield found


@pytest.fixture(scope="module")
def database(server_address: Callable[[str], str]) -> Iterator[Server]:
    server_address("postgres")
    with server("postgres", f"faults-{os.getpid()}") as found:
        yield found


@pytest.fixture
def watch(request: pytest.FixtureRequest) -> Iterator[Watch]:
    with Watch() as found:
        yield found
    keep(request.node.name, found.rows)


def engines(broker: Server, watch: Watch, database: Server | None = None, **more: Any) -> Engines:
    return Engines(
        bus="kafka",
        db="sqlite" if database is None else "postgres",
        processes="each",
        bus_url=f"kafka://{broker.address}",
        db_url="" if database is None else database.address,
        watch=watch.begin,
        longest_pause_s=1.0,
        **more,
    )


class Once:
    """Does things when so many items were fed, each once."""

    def __init__(self, *acts: tuple[int, Callable[[], object]]) -> None:
        self._acts = list(acts)

    def __call__(self, read: int) -> None:
        while self._acts and self._acts[0][0] <= read:
            self._acts.pop(0)[1]()

    @property
    def done(self) -> bool:
        return not self._acts


def test_the_broker_and_then_postgresql_are_killed_and_come_back(
    log: Path, expected: dict[str, Any], broker: Server, database: Server, watch: Watch
) -> None:
    def kill_broker() -> None:
        watch.gone("the broker")
        broker.kill()

    def kill_database() -> None:
        watch.gone("PostgreSQL")
        database.kill()
        monotonic = SystemMonotonic()

        def later() -> None:  # the door is shut meanwhile, so the feeder cannot do it
            monotonic.wait(threading.Event(), 2.0)
            database.start()
            watch.back()

        threading.Thread(target=later).start()

    def start_broker() -> None:
        broker.start()
        watch.back()

    course = Once(
        (300, kill_broker),
        (700, start_broker),
        (725, lambda: wait_until(watch.settled, "all goes on with the broker back")),
        (1050, kill_database),
        (1075, lambda: wait_until(watch.settled, "all goes on with PostgreSQL back")),
    )
    plan = sepsis(log, batch=BATCH, engines=engines(broker, watch, database))
    assert_same(passed(plan, course), expected)
    assert course.done
    assert [row.what for row in watch.rows] == ["the broker", "PostgreSQL"]


def test_a_worker_of_risk_is_stopped_past_its_session_and_goes_on(
    log: Path,
    expected: dict[str, Any],
    broker: Server,
    database: Server,
    watch: Watch,
    tmp_path: Path,
) -> None:
    def waiting() -> int:
        kept = kept_of(tmp_path / "run")
        assert kept is not None
        return lag_of(PrefixedBus(bus, f"{kept.name}."), "risk", CHANGES.name, age=False).waiting

    def stop() -> None:
        watch.children["risk"].signal(signal.SIGSTOP)
        stopped_s.append(monotonic.seconds())

    def go_on() -> None:
        wait_until(lambda: waiting() == 0, "the other worker takes over")
        took_s = monotonic.seconds() - stopped_s[0]
        assert took_s > (SESSION_MS - HEARTBEAT_MS) / 1000, (
            "it had partitions, which nobody takes before that"
        )
        watch.rows.append(Row("a stopped worker of risk", round(took_s, 2)))
        watch.children["risk"].signal(signal.SIGCONT)

    monotonic, stopped_s = SystemMonotonic(), list[float]()
    bus = KafkaBus(f"kafka://{broker.address}")
    course = Once((500, stop), (1000, go_on))
    try:
        plan = sepsis(
            log,
            batch=BATCH,
            keep=tmp_path / "run",
            engines=engines(broker, watch, database, risk_workers=2),
        )
        assert_same(passed(plan, course), expected)
    finally:
        bus.close()
    assert course.done


@pytest.mark.parametrize(("risk", "on_postgres"), [("plain", False), ("faust", True)])
def test_twenty_five_random_kills_lose_nothing(
    log: Path,
    expected: dict[str, Any],
    broker: Server,
    database: Server,
    watch: Watch,
    risk: str,
    *,
    on_postgres: bool,
) -> None:
    seed = random.randrange(1 << 30)
    killer = Killer(watch, seed, kills=25, items=ROWS - BATCH)
    on = engines(broker, watch, database if on_postgres else None, risk=risk)
    found = passed(sepsis(log, batch=BATCH, engines=on), killer.between)
    assert len(killer.killed) == 25, f"seed {seed}"
    assert_same(found, expected)


def test_one_of_three_brokers_is_killed_under_load_and_nothing_is_lost(
    log: Path, expected: dict[str, Any], watch: Watch, server_address: Callable[[str], str]
) -> None:
    server_address("kafka")

    with server("kafka", f"three-{os.getpid()}", "--nodes", "3") as cluster:

        def kill() -> None:
            watch.gone("one of three brokers")
            cluster.kill(2)
            watch.back()  # two are enough

        course = Once(
            (400, kill),
            (500, lambda: wait_until(watch.settled, "all goes on with two brokers")),
            (1200, lambda: cluster.start(2)),
        )
        plan = sepsis(log, batch=BATCH, engines=engines(cluster, watch))
        assert_same(passed(plan, course), expected)
        assert course.done
