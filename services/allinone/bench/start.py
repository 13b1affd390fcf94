"""The start of an embedded process with a town on file: seconds until ready, and its memory.

The town is registered beforehand. Then `hearthwatch up` runs as a process of its own over it; once
it is ready a whole day of the town goes through it over HTTP, and lists are asked for.
"""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import msgspec

from services.allinone.bench.embedded import AHEAD, BATCH, post
from services.allinone.bench.rows import RUNS, Result, result, side_by_side
from services.allinone.embedded import opened
from services.allinone.memory import Memory, memory_of
from services.allinone.processes import free_ports
from services.allinone.town.book import entries, places
from services.allinone.town.days import first_words, ordinary
from services.allinone.town.facts import Fact, item_of
from services.allinone.town.plan import MOST_PEOPLE, ZONE, Plan
from services.allinone.town.stream import Town, build
from services.intake.wiring import Intake
from services.kernel import settings as kernel_settings
from services.kernel.clock import Monotonic, SystemClock, SystemMonotonic, from_us
from services.kernel.errors import Retryable
from services.kernel.settings import Settings, ensure_token

COMMAND: Final = "hearthwatch bench --only start"
PACK: Final = Path(__file__).parents[3] / "packs" / "cn-town"
QUICK: Final = 1_000
_LOOK_S: Final = 0.05
STILL_S: Final = 3.0
"""Longer than the process takes from one look at what waits to the next."""
_PATIENCE_S: Final = 600.0
_OK: Final = 200
_MB: Final = 1_000_000
_BEHIND: Final = re.compile(
    r"^hearthwatch_(?:outbox_unsent|worker_lag)_records\{[^}]*\} (\S+)$", re.MULTILINE
)
_PARTS: Final = "alembic, argon2, fastapi, httpx2, jinja2, prometheus_client, sqlalchemy, uvicorn"
_BARE: Final = f"import {_PARTS}"
"""What every such process takes in before a line of ours runs."""
_encode: Final = msgspec.json.Encoder().encode


class Started(NamedTuple):
    """What one process took: seconds until it was ready, its memory then and after a day."""

    ready_s: float
    ready: Memory
    day: Memory
    changes: int


class Up:
    """`hearthwatch up` over a data folder, in a process of its own."""

    def __init__(self, settings: Settings, monotonic: Monotonic) -> None:
        self._monotonic = monotonic
        self._token = ensure_token(settings)
        self._never = threading.Event()
        (self._port,) = free_ports(1)
        clean = {k: v for k, v in os.environ.items() if not k.startswith("HEARTHWATCH_")}
        command = [sys.executable, "-m", "services.allinone.cli", "up"]
        command += ["--data", str(settings.data_dir), "--pack", str(PACK)]
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [*command, "--port", str(self._port)],
            env={**clean, "HEARTHWATCH_LOG_LEVEL": "WARNING"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )

    def until_ready(self) -> None:
        """Wait until it says that it is ready."""
        self._until(lambda: self._status("/readyz") == _OK, "to be ready")

    def send(self, batches: Sequence[Sequence[bytes]]) -> int:
        """Bring batches to the door and wait until nothing waits anywhere; return the changes."""
        client = self._client()
        for number, batch in enumerate(batches):
            body = b"[" + b",".join(batch) + b"]"
            post(client, "/intake", self._token, f"day/{number}", body)
        client.close()
        self._until(self._through, "to let a day pass")
        return sum(map(len, batches))

    def ask(self, path: str) -> bytes:
        """Return the answer to a question.

        Raises:
            Retryable: it is another than 200.
        """
        client = self._client()
        client.request("GET", path, headers={"Authorization": f"Bearer {self._token}"})
        answer = client.getresponse()
        body = answer.read()
        client.close()
        if answer.status != _OK:
            raise Retryable(f"GET {path} answered {answer.status}: {body[:200]!r}")
        return body

    def memory(self) -> Memory:
        """Return its resident memory."""
        return memory_of(self._process.pid)

    def stop(self) -> None:
        """End it in good order."""
        self._process.terminate()
        self._process.wait()

    def _through(self) -> bool:
        """Return whether two looks, further apart than its own, find that nothing waits."""
        for _ in range(2):
            if sum(map(float, _BEHIND.findall(self.ask("/metrics").decode()))):
                return False
            self._monotonic.wait(self._never, STILL_S)
        return True

    def _client(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)

    def _status(self, path: str) -> int:
        client = self._client()
        try:
            client.request("GET", path)
            return client.getresponse().status
        except OSError:  # it does not listen yet
            return 0
        finally:
            client.close()

    def _until(self, so: Callable[[], bool], what: str) -> None:
        until_s = self._monotonic.seconds() + _PATIENCE_S
        while not so():
            if self._process.poll() is not None:
                raise Retryable(f"`up` ended with {self._process.returncode}, was {what}")
            if self._monotonic.seconds() > until_s:
                raise Retryable(f"`up` took over {_PATIENCE_S:.0f} s {what}")
            self._monotonic.wait(self._never, _LOOK_S)


def rows(*, quick: bool, tell: Callable[[str], None]) -> Iterator[Result]:
    """Yield how soon a process is ready and what it holds, with so many people on file."""
    monotonic, people = SystemMonotonic(), QUICK if quick else MOST_PEOPLE
    with town_on_file(people) as (settings, town):
        now = SystemClock().now()
        day = ordinary(town.plan, town.plan.last, town.households)
        changes = sorted((fact for fact in day if fact.at < now), key=lambda fact: fact.at)
        found: list[Started] = []

        def ours() -> float:
            sent = [] if found else list(batches(changes, "day"))
            found.append(start(settings, sent, monotonic))
            return found[-1].ready_s

        ready_s, bare_s = side_by_side(ours, lambda: _bare(monotonic), 1 if quick else RUNS)
    first, name = found[0], f"{people:,} people on file"
    yield result(f"embedded start: until ready, {name}", ready_s, "s", bare_s, COMMAND)
    held = {"when ready": first.ready.now, "after a day": first.day.now, "at most": first.day.most}
    for when, size in held.items():
        yield result(f"embedded memory: {when}, {name}", size / _MB, "MB", None, COMMAND)
    tell(f"  the day: {first.changes} changes; beside it: `{_BARE}`")


@contextmanager
def town_on_file(people: int) -> Iterator[tuple[Settings, Town]]:
    """Register a town of so many people, its last whole day yesterday; yield where and which."""
    yesterday = from_us(SystemClock().now()).astimezone(ZONE).date() - timedelta(days=1)
    town = build(Plan(people=people, days=2, last=yesterday))
    with TemporaryDirectory(prefix="hearthwatch-bench-") as folder:
        settings = kernel_settings.load({}, data_dir=Path(folder), pack=PACK, log_level="WARNING")
        with opened(settings) as app:
            door = next(each for each in app.services if isinstance(each, Intake)).door
            for number, batch in enumerate(batches(_book(town), "book")):
                door.accept(batch, idempotency_key=f"book/{number}")
                if number % AHEAD == 0:
                    app.step()
            app.step()
        yield settings, town


def start(settings: Settings, day: Sequence[Sequence[bytes]], monotonic: Monotonic) -> Started:
    """Return what a process over the folder takes until it is ready, and for a day's changes."""
    before_s = monotonic.seconds()
    up = Up(settings, monotonic)
    try:
        up.until_ready()
        ready_s, ready = monotonic.seconds() - before_s, up.memory()
        sent = up.send(day) if day else 0
        for path in ("/registry/v1/households?limit=500", "/alerts/v1/alerts?limit=500"):
            up.ask(path)
        return Started(ready_s, ready, up.memory(), sent)
    finally:
        up.stop()


def batches(facts: Iterator[Fact] | Sequence[Fact], name: str) -> Iterator[list[bytes]]:
    """Yield facts as encoded items in batches; the door says itself when it received them."""
    encoded = (_sent(item_of(fact, f"{name}/{n}")) for n, fact in enumerate(facts))
    while batch := list(islice(encoded, BATCH)):
        yield batch


def _sent(item: dict[str, object]) -> bytes:
    del item["receivedat"]
    return _encode(item)


def _book(town: Town) -> Iterator[Fact]:
    """Yield areas, staff, homes, people and ties, and what arms the rules."""
    homes = enumerate(town.households, 1)
    files = (chain(entries(town.plan, n, h), first_words(town.plan, h)) for n, h in homes)
    return chain(places(town.plan), chain.from_iterable(files))


def _bare(monotonic: Monotonic) -> float:
    """Return the seconds that a process takes to take in the libraries, and to end."""
    before_s = monotonic.seconds()
    subprocess.run([sys.executable, "-c", _BARE], check=True)  # noqa: S603 - as above
    return monotonic.seconds() - before_s
