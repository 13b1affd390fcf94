"""A Kafka client of one page: asks a broker the questions that tell whether a cluster can be used.

A listening port proves nothing: a broker opens it before it knows its cluster. Three requests of
Kafka's wire protocol, in versions old enough to be plain and new enough for every Kafka 4: Metadata
v4, CreateTopics v2 (validate only: it runs the whole way to the controller and leaves nothing
behind), FindCoordinator v1.
"""

import socket
import struct
from dataclasses import dataclass

from .ports import LOOPBACK

_METADATA, _FIND_COORDINATOR, _CREATE_TOPICS = 3, 10, 19
_CLIENT = b"hearthwatch-deploy"
_PROBE_TOPIC = "hearthwatch.deploy.probe"
_PROBE_GROUP = "hearthwatch.deploy.probe"
_LARGEST_ANSWER = 64 * 1024 * 1024


class NotReadyError(Exception):
    """The broker did not answer, or not yet as it should; the message says which."""


@dataclass(frozen=True)
class Cluster:
    """What one broker says of its cluster."""

    brokers: frozenset[int]
    partitions: int
    under_replicated: int
    leaderless: int


class _Reader:
    """Reads the fixed-width form of Kafka's protocol (big-endian, lengths in front)."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, form: str) -> int:
        (value,) = struct.unpack_from(f">{form}", self._data, self._at)
        self._at += struct.calcsize(f">{form}")
        return int(value)

    def text(self) -> str | None:
        length = self.number("h")
        if length < 0:
            return None
        self._at += length
        return self._data[self._at - length : self._at].decode()

    def skip(self, forms: str) -> None:
        """Read past fields that nobody asks about: `s` a text, else a number of that form."""
        for form in forms:
            if form == "s":
                self.text()
            else:
                self.number(form)

    def numbers(self) -> list[int]:
        return [self.number("i") for _ in range(self.number("i"))]


def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack(">h", len(encoded)) + encoded


def _receive(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise NotReadyError("the broker closed the connection")
        data += part
    return data


def _ask(port: int, api: int, version: int, body: bytes, timeout_s: float) -> _Reader:
    """Send one request on a connection of its own and return its answer, past the header."""
    header = struct.pack(">hhi", api, version, 1) + struct.pack(">h", len(_CLIENT)) + _CLIENT
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout_s) as connection:
            connection.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
            (length,) = struct.unpack(">i", _receive(connection, 4))
            if not 4 <= length <= _LARGEST_ANSWER:
                raise NotReadyError(f"port {port} does not speak Kafka: answer of {length} bytes")
            return _Reader(_receive(connection, length)[4:])
    except OSError as exc:
        raise NotReadyError(f"port {port}: {exc}") from exc


def describe(port: int, timeout_s: float = 5) -> Cluster:
    """Return what the broker on this loopback port knows of its cluster.

    Raises:
        NotReadyError: no answer.
    """
    answer = _ask(port, _METADATA, 4, struct.pack(">i?", -1, False), timeout_s)
    answer.skip("i")  # throttle time
    brokers = set()
    for _ in range(answer.number("i")):
        brokers.add(answer.number("i"))
        answer.skip("sis")  # host, port, rack
    answer.skip("si")  # cluster id, controller
    partitions = under_replicated = leaderless = 0
    for _ in range(answer.number("i")):
        answer.skip("hsb")  # error, name, internal
        for _ in range(answer.number("i")):
            answer.skip("hi")  # error, index
            leader, replicas, in_sync = answer.number("i"), answer.numbers(), answer.numbers()
            partitions += 1
            under_replicated += len(in_sync) < len(replicas)
            leaderless += leader < 0
    return Cluster(frozenset(brokers), partitions, under_replicated, leaderless)


def require_usable(port: int, replication: int, timeout_s: float = 5) -> None:
    """Check that topics can be created and consumer groups be served.

    Raises:
        NotReadyError: one of them cannot, with Kafka's error code.
    """
    topic = _text(_PROBE_TOPIC) + struct.pack(
        ">ihii", 1, replication, 0, 0
    )  # partitions, replicas, no more
    wait_ms, validate_only = int(timeout_s * 1000), True
    request = struct.pack(">i", 1) + topic + struct.pack(">i?", wait_ms, validate_only)
    answer = _ask(port, _CREATE_TOPICS, 2, request, timeout_s)
    answer.skip("iis")  # throttle time, one topic, its name
    error, message = answer.number("h"), answer.text()
    if error != 0:
        raise NotReadyError(f"creating a topic is refused: Kafka error {error}, {message}")
    # Also makes Kafka create the topic of group positions, which would otherwise delay the first
    # consumer.
    answer = _ask(port, _FIND_COORDINATOR, 1, _text(_PROBE_GROUP) + struct.pack(">b", 0), timeout_s)
    answer.skip("i")  # throttle time
    if (error := answer.number("h")) != 0:
        raise NotReadyError(f"no coordinator for consumer groups yet: Kafka error {error}")
