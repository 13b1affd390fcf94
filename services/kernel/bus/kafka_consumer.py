"""One member of a Kafka group, as the bus port has it.

Newly assigned partitions stay paused until the caller has said where to start in them: so nothing
is read from the group's own offset, also when the answer cannot be had at once.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from kafka import ConsumerRebalanceListener, KafkaConsumer
from kafka import TopicPartition as KafkaPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from services.kernel.bus.port import OnAssigned
from services.kernel.clock import Monotonic, SystemMonotonic
from services.kernel.contracts.records import Record, TopicPartition
from services.kernel.crash import crashpoint
from services.kernel.errors import Retryable
from services.kernel.logging import get_logger

SESSION_MS: Final = 10_000
HEARTBEAT_MS: Final = 3_000
"""A killed member's partitions go to the others after a session; Kafka's own default is 45 s."""
JOIN_S: Final = 30.0
"""A group has divided its partitions long before; a client that still waits has lost its join."""
MILLISECOND: Final = 1_000
_SLICE_S: Final = 0.2
"""How long one poll of the client may take: `close` from another thread waits no longer."""
_FETCH_BYTES: Final = 1_000_000
"""Of a partition at a time; a single record may be larger."""
_log = get_logger(__name__)


class KafkaMember(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python is untyped
    """A member; joins at its first poll. See the port for the contract.

    Args:
        connection: Settings of the client that all connections share.
        group: Name of the group.
        topics: What it reads.
        on_assigned: Says where new partitions start.
        name: Stable name in the group, or None.
        monotonic: Bounds waiting.
    """

    def __init__(
        self,
        connection: Mapping[str, Any],
        group: str,
        topics: Sequence[str],
        on_assigned: OnAssigned | None,
        *,
        name: str | None = None,
        monotonic: Monotonic | None = None,
    ) -> None:
        self._connection = dict(connection)
        self._group = group
        self._topics = list(topics)
        self._on_assigned = on_assigned
        self._name = name
        self._monotonic = monotonic or SystemMonotonic()
        self._io = threading.RLock()
        self._client: Any = None
        self._gained: set[KafkaPartition] = set()
        self._held: dict[KafkaPartition, deque[Any]] = {}
        self._joining_s: float | None = None
        self.closed = False

    # --- the port --------------------------------------------------------------------------------

    def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        """Return up to `max_records` records; an empty list when there are none or it is closed."""
        deadline = self._monotonic.seconds() + timeout_s
        while not self.closed:
            left_s = max(0.0, deadline - self._monotonic.seconds())
            found = self._poll_once(max_records, min(left_s, _SLICE_S))
            if found or self._monotonic.seconds() >= deadline:
                return found
        return []

    def seek(self, where: TopicPartition, offset: int) -> None:
        """Read `where` from `offset` next; the partition must be assigned."""
        with self._io:
            there = KafkaPartition(where.topic, where.partition)
            if self._client is None or there not in self._client.assignment():
                raise ValueError(f"{where.topic}/{where.partition} is not assigned to this member")
            self._held.pop(there, None)
            self._client.seek(there, offset)

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Store the group's offsets. They are a hint, so a failure is told and changes nothing."""
        with self._io:
            if self._client is None or self.closed:
                return
            mine = self._client.assignment()
            wanted = {KafkaPartition(w.topic, w.partition): n for w, n in offsets.items()}
            stored = {w: OffsetAndMetadata(n, "", -1) for w, n in wanted.items() if w in mine}
            try:
                if stored:
                    self._client.commit(stored)
            except KafkaError as exc:
                _log.warning("offsets not stored", group=self._group, error=type(exc).__name__)

    def assignment(self) -> frozenset[TopicPartition]:
        """Return the partitions now assigned to this member."""
        with self._io:
            mine = self._client.assignment() if self._client is not None else ()
            return frozenset(TopicPartition(p.topic, p.partition) for p in mine)

    def close(self) -> None:
        """Leave the group at once; idempotent."""
        self.closed = True
        with self._io:
            client, self._client = self._client, None
            if client is not None:
                try:
                    client.close(autocommit=False)
                except (KafkaError, OSError) as exc:
                    _log.warning("member not closed", group=self._group, error=type(exc).__name__)

    # --- rebalances ------------------------------------------------------------------------------

    def on_partitions_revoked(self, revoked: Iterable[KafkaPartition]) -> None:
        """Forget partitions that were never started."""
        crashpoint("bus.rebalance")
        if self._joining_s is None:
            self._joining_s = self._monotonic.seconds()
        for where in revoked:
            self._gained.discard(where)
            self._held.pop(where, None)

    def on_partitions_assigned(self, assigned: Iterable[KafkaPartition]) -> None:
        """Hold the new partitions until it is known where to start in them."""
        gained = list(assigned)
        if gained and self._on_assigned is not None:
            self._client.pause(*gained)
        # Last: this is another thread than the poller's, which lets go on what it finds here.
        self._gained.update(gained)
        self._joining_s = None

    # --- inside ----------------------------------------------------------------------------------

    def _poll_once(self, max_records: int, timeout_s: float) -> list[Record]:
        with self._io:
            if self.closed:
                return []
            try:
                client = self._joined()
                if self._lost():
                    self._renew(client)
                    return []
                self._begin(client)
                found = self._fairly(client, max_records, timeout_s)
                self._begin(client)
            except (KafkaError, OSError) as exc:
                raise Retryable(
                    f"group {self._group}: {type(exc).__name__}; expected a broker that answers"
                ) from exc
            return [record_of(each) for each in found]

    def _fairly(self, client: Any, most: int, timeout_s: float) -> list[Any]:  # noqa: ANN401 - as below
        """Poll; the partitions take turns.

        The client drains one partition before it looks at the next, and one that it was told to
        pause with records in hand it forgets. So what it has fetched is held here: all of one fetch
        when nothing is held, else no more than is given out.
        """
        if self._held:
            found = client.poll(timeout_ms=0, max_records=most)
        else:
            found = client.poll(timeout_ms=int(timeout_s * 1000), max_records=sys.maxsize)
        for where, records in found.items():
            self._held.setdefault(where, deque()).extend(records)
        given: list[Any] = []
        for where in list(self._held):
            held = self._held.pop(where, None)
            while held and len(given) < most:
                given.append(held.popleft())
            if held:
                self._held[where] = held  # at the end: the others come first next time
            if len(given) >= most:
                break
        return given

    def _lost(self) -> bool:
        """Return whether it has waited for partitions for so long that the join must be lost."""
        began_s = self._joining_s
        return began_s is not None and self._monotonic.seconds() - began_s > JOIN_S

    def _renew(self, client: Any) -> None:  # noqa: ANN401 - as below
        _log.warning("member joins anew", group=self._group, waited_s=JOIN_S)
        self._client = None
        self._gained.clear()
        self._held.clear()
        client.close(autocommit=False)

    def _joined(self) -> Any:  # noqa: ANN401 - kafka-python is untyped
        if self._client is None:
            client = KafkaConsumer(
                **self._connection,
                group_id=self._group,
                group_instance_id=self._name,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                session_timeout_ms=SESSION_MS,
                heartbeat_interval_ms=HEARTBEAT_MS,
                max_partition_fetch_bytes=_FETCH_BYTES,
            )
            client.subscribe(self._topics, listener=self)
            # Learn the partitions now. When they become known only after the first assignment the
            # client joins anew, and loses that join if it ends between two polls.
            client.topics()
            self._client = client
            self._joining_s = self._monotonic.seconds()
        return self._client

    def _begin(self, client: Any) -> None:  # noqa: ANN401 - as above
        """Ask where to start in new partitions and let them run; tried again if it raises."""
        gained = self._gained & client.assignment()
        if not gained or self._on_assigned is None:
            self._gained.clear()
            return
        asked = frozenset(TopicPartition(p.topic, p.partition) for p in gained)
        for where, offset in self._on_assigned(asked).items():
            self._held.pop(KafkaPartition(where.topic, where.partition), None)
            client.seek(KafkaPartition(where.topic, where.partition), offset)
        client.resume(*gained)
        self._gained -= gained


def record_of(found: Any) -> Record:  # noqa: ANN401 - kafka-python is untyped
    """Return kafka-python's record as the port has it."""
    return Record(
        found.topic,
        found.partition,
        found.offset,
        None if found.key is None else found.key.decode(errors="replace"),
        found.value,
        tuple((name, value or b"") for name, value in found.headers),
        found.timestamp * MILLISECOND,
    )
