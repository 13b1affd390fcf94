from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaTimeoutError

from deploy._lib.process import start_mark
from tests.deploy.conftest import Command, own_instance

pytestmark = [
    pytest.mark.connected,
    pytest.mark.slow,
    pytest.mark.timeout(400),
    # kafka-python forgets the socket of every attempt to reach a node that is down.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

TOPIC = "deploy.test.v1"
POLLS = 50


@pytest.fixture(autouse=True)
def forgotten_sockets() -> Iterator[None]:
    """Collect what kafka-python forgot while its warnings are still ignored."""
    yield
    gc.collect()


@contextmanager
def producer(address: str) -> Iterator[Any]:
    servers = address.split(",")
    with closing(KafkaProducer(bootstrap_servers=servers, acks="all", linger_ms=0)) as opened:
        yield opened


def create(address: str, *, copies: int) -> None:
    with closing(KafkaAdminClient(bootstrap_servers=address.split(","))) as admin:
        wanted = {"num_partitions": 3, "replication_factor": copies}
        admin.create_topics({TOPIC: wanted}, wait_for_metadata=True)


def send(address: str, values: list[bytes]) -> None:
    with producer(address) as sender:
        for future in [sender.send(TOPIC, value=value, key=value) for value in values]:
            future.get(timeout=60)


def read(address: str, count: int) -> list[bytes]:
    """Return, sorted, what a group reads of the topic from its start until `count` are there.

    kafka-python 3.0.12 forgets a join that a poll gave up waiting for when the join was for the
    sake of newer metadata: then it reads nothing for ever. So metadata first, and patient polls.
    """
    consumer = KafkaConsumer(
        TOPIC,
        bootstrap_servers=address.split(","),
        group_id="deploy-test",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    values: list[bytes] = []
    with closing(consumer):
        assert consumer.partitions_for_topic(TOPIC)
        for _ in range(POLLS):
            if len(values) >= count:
                break
            values += polled(consumer, 15_000)
        values += polled(consumer, 250)  # is there more than expected?
    return sorted(values)


def polled(consumer: Any, timeout_ms: int) -> list[bytes]:
    found = consumer.poll(timeout_ms=timeout_ms).values()
    return [record.value for records in found for record in records]


def numbered(first: int, last: int) -> list[bytes]:
    return [f"{number:04}".encode() for number in range(first, last)]


@pytest.fixture(scope="module")
def standing(root: Path) -> Iterator[Command]:
    """One node that is up, for questions that leave it so."""
    for command in own_instance(root, "kafka"):
        command.succeed("up")
        yield command


def test_one_node_keeps_its_records_and_address_over_a_stop_and_a_kill(kafka: Command) -> None:
    address = kafka.succeed("up")
    create(address, copies=1)
    send(address, numbered(0, 100))
    assert read(address, 100) == numbered(0, 100)

    (node,) = kafka("status", "--json").json()["nodes"]
    assert kafka.succeed("down") == "stopped"
    assert start_mark(node["pid"]) is None
    assert kafka("status").code == 1
    assert kafka.succeed("up") == address
    send(address, numbered(100, 200))

    kafka.succeed("kill", "--node", "1")
    assert kafka("status").code == 1
    assert kafka.succeed("start", "--node", "1") == address
    assert read(address, 200) == numbered(0, 200)


def test_three_nodes_lose_nothing_when_one_is_killed_and_comes_back(kafka: Command) -> None:
    address = kafka.succeed("up", "--nodes", "3")
    assert len(address.split(",")) == 3
    before = kafka("status", "--json").json()["nodes"]
    create(address, copies=3)
    with producer(address) as sender:
        early = [sender.send(TOPIC, value=value, key=value) for value in numbered(0, 200)]
        kafka.succeed("kill", "--node", "2")
        late = [sender.send(TOPIC, value=value, key=value) for value in numbered(200, 400)]
        for future in early + late:
            future.get(timeout=60)
    status = kafka("status", "--json").json()
    assert [node["running"] for node in status["nodes"]] == [True, False, True]
    assert status["leaderless"] == 0
    assert status["under_replicated"] > 0
    assert read(address, 400) == numbered(0, 400)

    assert kafka.succeed("up") == address
    after = kafka("status", "--json").json()["nodes"]
    untouched = [old["pid"] == new["pid"] for old, new in zip(before, after, strict=True)]
    assert untouched == [True, False, True]
    send(address, numbered(400, 500))
    assert read(address, 500) == numbered(0, 500)


def test_up_of_what_is_up_answers_the_same(standing: Command) -> None:
    assert standing.succeed("up") == standing.succeed("status")


def test_a_topic_that_nobody_declared_does_not_appear(standing: Command) -> None:
    address = standing.succeed("status")
    waits = {"max_block_ms": 1500, "bootstrap_servers": address}
    with closing(KafkaProducer(**waits)) as sender, pytest.raises(KafkaTimeoutError):
        sender.send("deploy.misspelt.v1", b"x")
    with closing(KafkaAdminClient(bootstrap_servers=address)) as admin:
        assert "deploy.misspelt.v1" not in admin.list_topics()


def test_what_runs_is_not_changed_by_asking_for_something_else(standing: Command) -> None:
    address = standing.succeed("status")
    for asked in (["--nodes", "3"], ["--port", "14999"]):
        answer = standing("up", *asked)
        assert answer.code == 1
        assert "deploy/kafka down" in answer.err
    assert standing.succeed("status") == address


def test_the_broker_runs_unprivileged_with_a_log_and_a_pid_file(standing: Command) -> None:
    status = standing("status", "--json").json()
    (node,) = status["nodes"]
    assert (Path("/proc") / str(node["pid"])).stat().st_uid != 0
    pid_file = Path(status["directory"]) / "node-1/kafka.pid"
    assert pid_file.read_text().splitlines()[0] == str(node["pid"])
    assert "Kafka Server started" in Path(node["log"]).read_text()
