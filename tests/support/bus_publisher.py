"""A process that publishes batches and says which are acknowledged, until it is killed.

`python -m tests.support.bus_publisher FILE FIRST`: values count up from FIRST; after each publish
that returned, the number after its last value is printed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from services.kernel.bus.sqlite import SqliteBus
from services.kernel.clock import SystemClock
from services.kernel.contracts.records import Outgoing

TOPIC = "kill.test.v1"
PARTITIONS = 3
SIZES = (1, 40, 3, 500, 7)


def main(path: str, first: str) -> None:
    bus = SqliteBus(Path(path), SystemClock())
    bus.create_topic(TOPIC, PARTITIONS)
    number, turn = int(first), 0
    while True:
        size = SIZES[turn % len(SIZES)]
        bus.publish(
            [Outgoing(TOPIC, f"key-{n % 17}", b"%d" % n) for n in range(number, number + size)]
        )
        number, turn = number + size, turn + 1
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
