"""Apache Kafka behind the bus port; the only door to kafka-python.

Publishing is idempotent and waits for every in-sync replica (`acks=all`); reading starts where the
caller says, for the position stored beside the effect is the truth and the group's offset a hint.
Whatever the broker or the network does wrong is `Retryable`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka import TopicPartition as KafkaPartition
from kafka.errors import (
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)
from kafka.serializer import Serializer

from services.kernel.bus.kafka_consumer import KafkaMember, record_of
from services.kernel.bus.port import Consumer, OnAssigned
from services.kernel.contracts.records import Outgoing, Record, TopicPartition
from services.kernel.errors import Fault, Retryable, WrongUse

PREFIX: Final = "kafka://"
_CONNECT_MS: Final = 5_000
_REQUEST_MS: Final = 10_000
_DELIVERY_MS: Final = 15_000
_LARGEST_BYTES: Final = 8_000_000
"""A person's move carries all of its facts in one record."""
_REPLICAS: Final = 3
_KEPT_MS: Final = 90 * 24 * 3_600_000
"""How long facts stay on a topic that is not compacted; risk keeps every fact as a row besides."""


class KafkaBus:
    """A connection to a cluster, shared by the threads of one process.

    Args:
        url: `kafka://host:port[,host:port...]`.
        client: Name shown on the broker; the member's stable name in groups when `static`.
        static: Give group members a stable name, so that a restarted process takes its partitions
            back at once. Only for processes that are the single one of their name.
    """

    def __init__(self, url: str, *, client: str = "hearthwatch", static: bool = False) -> None:
        self._servers = url.removeprefix(PREFIX).split(",")
        self._client = client
        self._static = static
        self._guard = threading.RLock()
        self._producer: Any = None
        self._admin: Any = None
        self._reader: Any = None
        self._known: dict[str, int] = {}
        self._members: list[KafkaMember] = []
        self._closed = False

    # --- topics ----------------------------------------------------------------------------------

    def create_topic(self, topic: str, partitions: int, *, compacted: bool = False) -> None:
        """Create the topic, or check that it has this many partitions; see the port."""
        with self._guard, self._mapped("create a topic"):
            found = self._described(topic)
            if found is None:
                try:
                    self._create(topic, partitions, compacted=compacted)
                except TopicAlreadyExistsError:  # another process was quicker
                    found = self._described(topic)
            if found not in (None, partitions):
                raise WrongUse(_other_count(topic, partitions, found))
            self._known[topic] = partitions

    def _create(self, topic: str, partitions: int, *, compacted: bool) -> None:
        admin = self._administrator()
        replicas = min(_REPLICAS, len(admin.describe_cluster()["brokers"]))
        kept = {"cleanup.policy": "compact"} if compacted else {"retention.ms": str(_KEPT_MS)}
        settings = {
            "num_partitions": partitions,
            "replication_factor": replicas,
            "configs": {
                **kept,
                "min.insync.replicas": str(max(1, replicas - 1)),
                "max.message.bytes": str(_LARGEST_BYTES),
            },
        }
        admin.create_topics({topic: settings}, wait_for_metadata=True)

    def partitions(self, topic: str) -> int:
        """Return the topic's partition count; raises WrongUse when it does not exist."""
        with self._guard, self._mapped("look at a topic"):
            if topic not in self._known:
                found = self._described(topic)
                if found is None:
                    raise WrongUse(_no_topic(topic))
                self._known[topic] = found
            return self._known[topic]

    def remove(self, prefix: str) -> None:
        """Delete the topics and groups of a replay, whose names begin with its prefix."""
        if not prefix:
            raise ValueError("a prefix is needed: without one everything would go")
        with self._guard, self._mapped("delete a run's topics"):
            admin = self._administrator()
            topics = [name for name in admin.list_topics() if name.startswith(prefix)]
            if topics:
                admin.delete_topics(topics)
            groups = [g["group_id"] for g in admin.list_groups()]
            gone = [name for name in groups if name.startswith(prefix)]
            if gone:
                admin.delete_groups(gone)

    def _described(self, topic: str) -> int | None:
        try:
            found = self._administrator().describe_topics([topic])[0]
        except (UnknownTopicOrPartitionError, InvalidTopicError):
            return None
        return len(found["partitions"]) if found["error_code"] == 0 else None

    # --- writing ---------------------------------------------------------------------------------

    def publish(self, records: Sequence[Outgoing]) -> None:
        """Write records durably, in order per partition; see the port."""
        if not records:
            return
        with self._mapped("publish"):
            producer = self._writer()
            try:
                sent = [
                    producer.send(
                        r.topic,
                        value=_NOTHING if r.value is None else r.value,
                        key=None if r.key is None else r.key.encode(),
                        headers=list(r.headers),
                        partition=r.partition,
                    )
                    for r in records
                ]
                producer.flush(timeout=_DELIVERY_MS / 1000)
                for each in sent:
                    each.get(timeout=1)
            except MessageSizeTooLargeError as exc:
                raise WrongUse(_too_large(records)) from exc
            except KafkaError:
                self._drop_producer(producer)  # a failed idempotent producer may never go on
                raise

    def _writer(self) -> Any:  # noqa: ANN401 - kafka-python is untyped
        with self._guard:
            self._refuse_closed()
            if self._producer is None:
                self._producer = KafkaProducer(
                    **self._connection(),
                    value_serializer=_Values(),
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=1,
                    batch_size=262_144,
                    max_request_size=_LARGEST_BYTES,
                    max_block_ms=_CONNECT_MS,
                    request_timeout_ms=_REQUEST_MS,
                    delivery_timeout_ms=_DELIVERY_MS,
                )
            return self._producer

    def _drop_producer(self, producer: Any) -> None:  # noqa: ANN401 - as above
        with self._guard:
            if self._producer is producer:
                self._producer = None
        producer.close(timeout=0)

    # --- reading ---------------------------------------------------------------------------------

    def consumer(
        self, group: str, topics: Sequence[str], on_assigned: OnAssigned | None = None
    ) -> Consumer:
        """Join the group as a new member reading `topics`; see the port."""
        for topic in topics:
            self.partitions(topic)
        with self._guard:
            self._refuse_closed()
            member = KafkaMember(
                self._connection() | {"client_id": f"{self._client}-{group}"},
                group,
                topics,
                on_assigned,
                name=f"{self._client}.{group}" if self._static else None,
            )
            self._members = [m for m in self._members if not m.closed] + [member]
        return member

    def starts(self, topic: str) -> Mapping[TopicPartition, int]:
        """Return the offset of the first record still there, or the end, per partition."""
        return self._offsets(topic, "beginning_offsets")

    def ends(self, topic: str) -> Mapping[TopicPartition, int]:
        """Return the offset after the last record, per partition."""
        return self._offsets(topic, "end_offsets")

    def _offsets(self, topic: str, question: str) -> dict[TopicPartition, int]:
        count = self.partitions(topic)
        with self._guard, self._mapped("ask for offsets"):
            wanted = [KafkaPartition(topic, n) for n in range(count)]
            found = getattr(self._looker(), question)(wanted)
            return {TopicPartition(p.topic, p.partition): offset for p, offset in found.items()}

    def committed(self, group: str, topic: str) -> Mapping[TopicPartition, int]:
        """Return the group's stored offsets; partitions without one are missing."""
        with self._guard, self._mapped("ask for a group's offsets"):
            found = self._administrator().list_group_offsets(group).get(group, {})
            return {
                TopicPartition(p.topic, p.partition): stored.offset
                for p, stored in found.items()
                if p.topic == topic and stored.offset >= 0
            }

    def oldest_unread_at(self, group: str, topic: str) -> int | None:
        """Return when the group's oldest unread record was published (microseconds), or None."""
        done, ends, starts = self.committed(group, topic), self.ends(topic), self.starts(topic)
        times = []
        for where, end in ends.items():
            offset = max(done.get(where, 0), starts[where])
            if offset < end:
                times += [record.published for record in self._peek(where, offset, 1)]
        return min(times, default=None)

    def _peek(self, where: TopicPartition, offset: int, limit: int) -> list[Record]:
        with self._guard, self._mapped("look at records"):
            reader, there = self._looker(), KafkaPartition(where.topic, where.partition)
            reader.assign([there])
            reader.seek(there, offset)
            found: list[Record] = []
            while len(found) < limit:
                more = reader.poll(timeout_ms=_CONNECT_MS, max_records=limit - len(found))
                if not more:
                    break
                found += [record_of(each) for each in more[there]]
            return found

    # --- connections -----------------------------------------------------------------------------

    def close(self) -> None:
        """Flush and release everything; idempotent."""
        with self._guard:
            self._closed = True
            members, self._members = self._members, []
        for member in members:
            member.close()
        with self._guard:
            for part in (self._producer, self._admin, self._reader):
                if part is not None:
                    _quietly(part.close)
            self._producer = self._admin = self._reader = None

    def _connection(self) -> dict[str, Any]:
        return {
            "bootstrap_servers": self._servers,
            "client_id": self._client,
            "bootstrap_timeout_ms": _CONNECT_MS,
            "reconnect_backoff_max_ms": 1_000,
            "metadata_max_age_ms": 30_000,
        }

    def _administrator(self) -> Any:  # noqa: ANN401 - kafka-python is untyped
        self._refuse_closed()
        if self._admin is None:
            self._admin = KafkaAdminClient(**self._connection(), request_timeout_ms=_REQUEST_MS)
        return self._admin

    def _looker(self) -> Any:  # noqa: ANN401 - as above
        self._refuse_closed()
        if self._reader is None:
            self._reader = KafkaConsumer(
                **self._connection(), enable_auto_commit=False, request_timeout_ms=_REQUEST_MS
            )
        return self._reader

    def _refuse_closed(self) -> None:
        if self._closed:
            raise Retryable("the bus is closed")

    @contextmanager
    def _mapped(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (KafkaError, OSError) as exc:
            raise Retryable(
                f"bus {PREFIX}{','.join(self._servers)}: tried to {doing}, {type(exc).__name__}; "
                "expected a broker that answers; start it or correct HEARTHWATCH_BUS_URL"
            ) from exc


class _Nothing:
    """Stands for no value: the client refuses a record that has neither key nor value."""


_NOTHING: Final = _Nothing()


class _Values(Serializer):  # type: ignore[misc]  # kafka-python is untyped
    """Writes values as they are; nothing is nothing."""

    def serialize(
        self,
        topic: str,  # noqa: ARG002 - as the client calls it
        headers: object,  # noqa: ARG002 - as the client calls it
        data: bytes | _Nothing,
    ) -> bytes | None:
        """Return what is written for a value."""
        return None if isinstance(data, _Nothing) else data


def _quietly(call: Callable[[], object]) -> None:
    """Close what may be broken already."""
    try:
        call()
    except (KafkaError, OSError, RuntimeError):
        return


def _other_count(topic: str, wanted: int, found: int | None) -> Fault:
    return Fault(
        where=f"topic {topic}",
        expected=f"{wanted} partitions",
        found=f"{found} partitions",
        remedy=f"set HEARTHWATCH_PARTITIONS={found}, or use another cluster: the count is fixed",
        code="partitions",
    )


def _no_topic(topic: str) -> Fault:
    return Fault(
        where=f"topic {topic}",
        expected="a topic that exists",
        found="none",
        remedy="start the service that owns it first",
        code="no_topic",
    )


def _too_large(records: Sequence[Outgoing]) -> Fault:
    largest = max(len(r.value or b"") for r in records)
    return Fault(
        where="publish",
        expected=f"values of at most {_LARGEST_BYTES} bytes",
        found=f"one of {largest} bytes",
        remedy="send it in parts",
        code="too_large",
    )
