"""The embedded chain end to end: from the first request to the last assessment taken by alerts."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from services.allinone.bench import floor
from services.allinone.bench.rows import Result, result, side_by_side
from services.allinone.embedded import BUILDS
from services.intake.wiring import Intake
from services.kernel import settings as kernel_settings
from services.kernel.clock import DAY, Monotonic, SystemClock, SystemMonotonic, from_us
from services.kernel.contracts.envelope import Envelope
from services.kernel.errors import Retryable
from services.kernel.metrics import Metrics
from services.kernel.runtime import App, RelayLike, WorkerLike, open_app
from services.kernel.runtime.watch import WATCH
from services.kernel.settings import ensure_token
from services.risk.bench import START, day

COMMAND: Final = "hearthwatch bench --only embedded"
PACK: Final = Path(__file__).parents[3] / "examples" / "town-day" / "pack"
BATCH: Final = 500
_BEHIND: Final = re.compile(
    rb"^hearthwatch_(?:outbox_unsent|worker_lag)_records\{[^}]*\} (\S+)$", re.MULTILINE
)
_LOOK_S: Final = 0.02
_QUIET: Final = 2
"""Looks in a row at which nothing waits."""
_PATIENCE_S: Final = 600.0
_REFUSED: Final = 300
PARTITIONS: Final = 4
AHEAD: Final = 8
"""Batches that a busy process finds waiting."""


@dataclass
class Stage:
    """Seconds that one loop of the chain spent, and how much it moved."""

    name: str
    spent_s: float = 0.0
    moved: int = 0


@dataclass
class Profile:
    """Where the time of a run on one thread went."""

    changes: int
    whole_s: float
    stages: list[Stage] = field(default_factory=list)


def bodies(
    changes: int, households: int, seed: int = 11, *, today: bool = False
) -> list[list[bytes]]:
    """Return batches of encoded items of a generated town's day.

    That day lies in the past, so that what comes in is no emergency any more; `today` lets it end
    now.
    """
    now = from_us(SystemClock().now())
    later = now - from_us(START + DAY) if today else timedelta()
    each = -(-changes // households)
    items = [
        msgspec.json.encode(item(envelope) | {"time": min(envelope.time + later, now).isoformat()})
        for envelope in day(seed, households, 0, each)
    ][:changes]
    return [items[n : n + BATCH] for n in range(0, len(items), BATCH)]


def item(envelope: Envelope) -> dict[str, Any]:
    """Return a generated change as its source sends it to the door."""
    person = envelope.subject if envelope.subject != envelope.partitionkey else None
    return {
        "type": envelope.type,
        "source": "bench",
        "sourceid": envelope.id,
        "time": envelope.time.isoformat(),
        **({"person": person} if person else {}),
        "household": envelope.partitionkey,
        "data": envelope.data,
    }


def rows(*, quick: bool, tell: Callable[[str], None]) -> Iterator[Result]:
    """Yield the figures of the embedded chain."""
    monotonic = SystemMonotonic()
    changes = 5_000 if quick else 40_000
    batches = bodies(changes, max(50, changes // 40))
    ours, peer = side_by_side(
        lambda: end_to_end(batches, monotonic),
        lambda: floor.chain(batches, monotonic),
        1 if quick else 3,
    )
    yield result(
        "embedded end to end, HTTP batches of 500, synced", ours, "changes/s", peer, COMMAND
    )
    found = profile(batches, monotonic)
    rate = found.changes / found.whole_s
    yield result("embedded chain on one thread, without HTTP", rate, "changes/s", peer, COMMAND)
    for stage in found.stages:
        share = stage.spent_s / found.whole_s
        tell(f"  {stage.name:<24} {share:6.1%}  {stage.spent_s:8.2f} s  {stage.moved:>8} records")


def end_to_end(batches: Sequence[Sequence[bytes]], monotonic: Monotonic) -> float:
    """Return changes per second through HTTP, bus and every store, all caught up at the end."""
    with opened(serve=True) as (app, token):
        app.start()
        address = urlsplit(app.url("intake"))
        client = http.client.HTTPConnection(str(address.hostname), int(address.port or 0))
        started_s = monotonic.seconds()
        for number, batch in enumerate(batches):
            post(client, address.path, token, f"bench/{number}", b"[" + b",".join(batch) + b"]")
        caught_up(app, monotonic)
        spent_s = monotonic.seconds() - started_s
        client.close()
    return sum(map(len, batches)) / spent_s


def profile(batches: Sequence[Sequence[bytes]], monotonic: Monotonic) -> Profile:
    """Run the chain on this thread and return what each of its loops took."""
    with opened(serve=False) as (app, _):
        intake = next(service for service in app.services if isinstance(service, Intake))
        door = Stage("intake.door")
        stages = [door, *_timed(app, monotonic)]
        started_s = monotonic.seconds()
        for number, batch in enumerate(batches):
            before_s = monotonic.seconds()
            intake.door.accept(batch, idempotency_key=f"bench/{number}")
            door.spent_s += monotonic.seconds() - before_s
            door.moved += len(batch)
            if number % AHEAD == AHEAD - 1:
                app.step()
        app.step()
        whole_s = monotonic.seconds() - started_s
    return Profile(door.moved, whole_s, stages)


@contextmanager
def opened(
    *, serve: bool, pack: Path = PACK, metrics: Metrics | None = None, **given: object
) -> Iterator[tuple[App, str]]:
    """Open all services in a folder of their own, on the wall clock; yield app and token."""
    with TemporaryDirectory(prefix="hearthwatch-bench-") as folder:
        settings = kernel_settings.load(
            {}, data_dir=Path(folder), pack=pack, http_port=0, partitions=PARTITIONS, **given
        )
        app = open_app(settings, BUILDS, serve=serve, metrics=metrics)
        try:
            yield app, ensure_token(settings)
        finally:
            app.stop()


def _timed(app: App, monotonic: Monotonic) -> list[Stage]:
    """Put a stopwatch around the turns of every worker and relay."""
    stages = []
    for service in app.services:
        loops: list[WorkerLike | RelayLike] = [*service.workers, *service.relays]
        for loop in loops:
            stage = Stage(loop.name)
            stages.append(stage)
            setattr(loop, "run_once", _watched(loop.run_once, stage, monotonic))  # noqa: B010
    return stages


def _watched(turn: Callable[..., int], stage: Stage, monotonic: Monotonic) -> Callable[..., int]:
    def run(*given: Any) -> int:  # noqa: ANN401 - as the loop's own
        before_s = monotonic.seconds()
        moved = turn(*given)
        stage.spent_s += monotonic.seconds() - before_s
        stage.moved += moved
        return moved

    return run


def post(client: http.client.HTTPConnection, path: str, token: str, key: str, body: bytes) -> None:
    """Send a batch to the door; raises Retryable unless all of it is accepted."""
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Idempotency-Key": key,
    }
    client.request("POST", f"{path}/v1/changes:batch", body, headers)
    answer = client.getresponse()
    told = msgspec.json.decode(answer.read())
    if answer.status >= _REFUSED or told["rejected"] or told["conflict"]:
        first = next((i for i in told.get("items", ()) if i.get("fault")), told)
        raise Retryable(f"the door answered {answer.status}, not all accepted: {first}")


def caught_up(app: App, monotonic: Monotonic) -> None:
    """Wait until no outbox and no topic holds anything that is still to be taken.

    Twice in a row: what left an outbox after its reader was looked at is in neither.
    """
    never, until_s = threading.Event(), monotonic.seconds() + _PATIENCE_S
    look = next(tick.call for tick in app.ticks if tick.name == WATCH)
    quiet = 0
    while quiet < _QUIET:
        if monotonic.seconds() > until_s:
            raise Retryable(f"the chain has not caught up after {_PATIENCE_S:.0f} s")
        look()  # the process itself looks every few seconds only
        behind = sum(map(float, _BEHIND.findall(app.metrics.render()[0])))
        quiet = 0 if behind else quiet + 1
        if quiet < _QUIET:
            monotonic.wait(never, _LOOK_S)
