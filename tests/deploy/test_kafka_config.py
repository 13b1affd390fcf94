from __future__ import annotations

from pathlib import Path

import pytest

from deploy._lib import account
from deploy._lib.home import Home
from deploy._lib.kafka import _cluster_id
from deploy._lib.kafka_node import Node, Runtime


def settings_of(tmp_path: Path, count: int) -> list[dict[str, str]]:
    """Configure a cluster of `count` nodes and read back what each node was given."""
    home = Home("kafka", build=tmp_path)
    home.make(account.caller())
    nodes = [
        Node(home.path, number, 18000 + number, 19000 + number) for number in range(1, count + 1)
    ]
    for node in nodes:
        node.configure(home, nodes, account.caller())
    return [read(node.properties) for node in nodes]


def read(properties: Path) -> dict[str, str]:
    lines = properties.read_text(encoding="utf-8").splitlines()
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    return {key: value for key, _, value in pairs}


def test_one_node_keeps_one_copy_of_everything(tmp_path: Path) -> None:
    (node,) = settings_of(tmp_path, 1)
    for key in ("default", "offsets.topic", "transaction.state.log"):
        assert node[f"{key}.replication.factor"] == "1"
    assert node["min.insync.replicas"] == "1"
    assert node["controller.quorum.voters"] == "1@127.0.0.1:19001"


def test_three_nodes_keep_three_copies_and_take_no_write_with_less_than_two(tmp_path: Path) -> None:
    for node in settings_of(tmp_path, 3):
        for key in ("default", "offsets.topic", "transaction.state.log"):
            assert node[f"{key}.replication.factor"] == "3"
        assert node["min.insync.replicas"] == "2"
        assert node["transaction.state.log.min.isr"] == "2"


def test_three_nodes_agree_on_the_voters_and_on_nothing_that_must_differ(tmp_path: Path) -> None:
    nodes = settings_of(tmp_path, 3)
    assert {node["controller.quorum.voters"] for node in nodes} == {
        "1@127.0.0.1:19001,2@127.0.0.1:19002,3@127.0.0.1:19003"
    }
    for key in ("node.id", "listeners", "advertised.listeners", "log.dirs"):
        assert len({node[key] for node in nodes}) == 3


@pytest.mark.parametrize("count", [1, 3])
def test_every_listener_is_loopback(tmp_path: Path, count: int) -> None:
    for node in settings_of(tmp_path, count):
        for key in ("listeners", "advertised.listeners"):
            hosts = [listener.split("//")[1].split(":")[0] for listener in node[key].split(",")]
            assert set(hosts) == {"127.0.0.1"}


def test_topics_must_be_declared_and_kafkas_own_are_small(tmp_path: Path) -> None:
    (node,) = settings_of(tmp_path, 1)
    assert node["auto.create.topics.enable"] == "false"
    assert int(node["offsets.topic.num.partitions"]) <= 8


def test_configuring_again_keeps_the_data(tmp_path: Path) -> None:
    (node,) = settings_of(tmp_path, 1)
    kept = Path(node["log.dirs"]) / "meta.properties"
    kept.write_text("x", encoding="ascii")
    settings_of(tmp_path, 1)
    assert kept.exists()


def test_the_heap_is_what_was_asked_for_and_starts_no_larger(tmp_path: Path) -> None:
    runtime = Runtime(Path("java"), tmp_path / "libs", account.caller(), heap_mb=128)
    command = runtime.command("kafka.Kafka", "server.properties")
    assert "-Xms128m" in command
    assert "-Xmx128m" in command
    assert command[-4:] == ["-cp", f"{tmp_path}/libs/*", "kafka.Kafka", "server.properties"]


def test_a_cluster_id_is_22_characters_and_no_option() -> None:
    for _ in range(500):
        made = _cluster_id()
        assert len(made) == 22
        assert not made.startswith("-")
