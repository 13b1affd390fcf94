from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from deploy._lib.kafka_probe import NotReadyError, describe, require_usable
from deploy._lib.ports import LOOPBACK

METADATA, FIND_COORDINATOR, CREATE_TOPICS = 3, 10, 19


def text(value: str | None) -> bytes:
    return (
        struct.pack(">h", -1) if value is None else struct.pack(">h", len(value)) + value.encode()
    )


def array(*items: bytes) -> bytes:
    return struct.pack(">i", len(items)) + b"".join(items)


def numbers(*values: int) -> bytes:
    return array(*(struct.pack(">i", value) for value in values))


def metadata(brokers: list[int], partitions: list[tuple[int, list[int], list[int]]]) -> bytes:
    """Encode a Metadata v4 answer, one topic: leader, replicas, in-sync ones by partition."""
    nodes = [
        struct.pack(">i", one) + text("127.0.0.1") + struct.pack(">i", 9) + text(None)
        for one in brokers
    ]
    parts = [
        struct.pack(">hii", 0, index, leader) + numbers(*replicas) + numbers(*in_sync)
        for index, (leader, replicas, in_sync) in enumerate(partitions)
    ]
    topic = struct.pack(">h", 0) + text("intake.change.v1") + b"\0" + array(*parts)
    cluster = text("a-cluster") + struct.pack(">i", 1)
    return struct.pack(">i", 0) + array(*nodes) + cluster + array(topic)


def created(error: int, message: str | None = None) -> bytes:
    return struct.pack(">i", 0) + array(text("probe") + struct.pack(">h", error) + text(message))


def coordinator(error: int) -> bytes:
    return (
        struct.pack(">ih", 0, error)
        + text(None)
        + struct.pack(">i", 1)
        + text("127.0.0.1")
        + struct.pack(">i", 9)
    )


Serve = Callable[[dict[int, bytes]], int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Answer each request by its kind; a kind without an answer has its connection closed."""
    servers: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def run(server: socket.socket, answers: dict[int, bytes]) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:  # closed at the end of the test
                return
            with connection:
                request = connection.recv(4096)
                (kind,) = struct.unpack_from(">h", request, 4)
                if kind in answers:
                    body = struct.pack(">i", 1) + answers[kind]
                    connection.sendall(struct.pack(">i", len(body)) + body)

    def begin(answers: dict[int, bytes]) -> int:
        server = socket.create_server((LOOPBACK, 0))
        servers.append(server)
        threads.append(threading.Thread(target=run, args=(server, answers)))
        threads[-1].start()
        return int(server.getsockname()[1])

    yield begin
    for server in servers:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
    for thread in threads:
        thread.join(10)


def test_a_broker_says_whom_it_knows_and_what_lacks_copies(serve: Serve) -> None:
    partitions = [(1, [1, 2, 3], [1, 2, 3]), (2, [1, 2, 3], [2, 3]), (-1, [1, 2, 3], [])]
    cluster = describe(serve({METADATA: metadata([1, 2, 3], partitions)}))
    assert cluster.brokers == {1, 2, 3}
    assert (cluster.partitions, cluster.under_replicated, cluster.leaderless) == (3, 2, 1)


def test_an_empty_cluster_is_described_too(serve: Serve) -> None:
    assert describe(serve({METADATA: metadata([1], [])})).partitions == 0


def test_a_cluster_that_creates_topics_and_serves_groups_is_usable(serve: Serve) -> None:
    require_usable(serve({CREATE_TOPICS: created(0), FIND_COORDINATOR: coordinator(0)}), 1)


def test_a_refused_topic_is_told_with_kafkas_own_words(serve: Serve) -> None:
    refused = created(38, "Unable to replicate the partition 3 time(s)")
    port = serve({CREATE_TOPICS: refused, FIND_COORDINATOR: coordinator(0)})
    with pytest.raises(NotReadyError, match=r"Kafka error 38, Unable to replicate"):
        require_usable(port, 3)


def test_a_cluster_without_a_coordinator_is_not_usable_yet(serve: Serve) -> None:
    port = serve({CREATE_TOPICS: created(0), FIND_COORDINATOR: coordinator(15)})
    with pytest.raises(NotReadyError, match="Kafka error 15"):
        require_usable(port, 1)


def test_a_port_where_nobody_listens_is_named() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(NotReadyError, match=f"port {port}: .*refused"):
        describe(port)


def test_a_broker_that_hangs_up_is_not_ready(serve: Serve) -> None:
    with pytest.raises(NotReadyError, match="closed the connection"):
        describe(serve({}))


def test_a_server_that_never_answers_is_not_waited_for_long() -> None:
    with (
        socket.create_server((LOOPBACK, 0)) as server,
        pytest.raises(NotReadyError, match="timed out"),
    ):
        describe(server.getsockname()[1], timeout_s=0.2)


def test_a_server_of_another_kind_is_recognised() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n")
                connection.recv(4096)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(NotReadyError, match="does not speak Kafka"):
            describe(server.getsockname()[1])
        thread.join(10)
