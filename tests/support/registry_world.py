"""The door and the book in one app without threads: items go in, the book is read over HTTP."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import URL, MetaData, create_engine, make_url, text

from services.intake import wiring as intake
from services.kernel.bus.worker import Batch, Message, Worker
from services.kernel.clock import MINUTE, VirtualClock
from services.kernel.contracts.envelope import Envelope, decode
from services.kernel.contracts.topics import CHANGES
from services.kernel.db.engine import Database
from services.kernel.runtime import App, open_app
from services.kernel.settings import load
from services.registry import wiring as registry
from services.registry.handlers import Keeper
from services.registry.storage import TABLES, SqlStore
from tests.support import keys
from tests.support.intake_world import START, write_pack

TOKEN = "a token for the tests"


@dataclass
class RegistryWorld:
    """An app of intake and registry on a virtual clock."""

    app: App
    clock: VirtualClock
    book: TestClient
    door: intake.Intake
    folder: Path
    url: str

    def send(self, *items: dict[str, Any]) -> list[str]:
        """Send items in one batch, a minute after what was before, and let the book take them."""
        self.clock.advance_to(self.clock.now() + MINUTE)
        answers = self.door.door.accept(list(items))
        assert {a.status for a in answers} == {"accepted"}, answers
        self.app.step()
        return [str(a.id) for a in answers]

    def get(self, path: str, status: int = 200, /, **query: str | int) -> Any:
        """Return what the book answers."""
        answer = self.book.get(f"/v1{path}", params=query, headers={"X-Hearthwatch-Person": "w1"})
        assert answer.status_code == status, answer.text
        return answer.json()

    def items(self, path: str, **query: str | int) -> list[Any]:
        """Return the items of a list."""
        found: list[Any] = self.get(path, 200, **query)["items"]
        return found

    def published(self, topic: str) -> dict[str, Envelope | None]:
        """Return the newest record of each key of a compacted topic; None for a tombstone."""
        bus = self.app_bus()
        consumer = bus.consumer(f"look-{topic}-{self.clock.now()}", [topic])
        found: dict[str, Envelope | None] = {}
        while records := consumer.poll(1_000, 0):
            for record in records:
                found[str(record.key)] = decode(record.value) if record.value else None
        consumer.close()
        return found

    def keepers(self) -> list[Keeper]:
        """Return what takes the changes in the app."""
        workers = [w for s in self.app.services for w in s.workers if isinstance(w, Worker)]
        return [worker.handler for worker in workers if isinstance(worker.handler, Keeper)]

    def read_again(self) -> None:
        """Have a new keeper of the same book take every change from the start once more."""
        db = self.database(TABLES)
        keeper = Keeper(SqlStore(db), timezone(timedelta(hours=8)))
        consumer = self.app_bus().consumer("again", [CHANGES.name])
        while records := consumer.poll(3, 0):
            by_partition: dict[int, list[Message]] = {}
            for record in records:
                message = Message(record, decode(record.value))
                by_partition.setdefault(record.partition, []).append(message)
            for partition, messages in by_partition.items():
                with db.begin() as conn:
                    keeper.handle(conn, Batch(CHANGES.name, partition, messages))
        consumer.close()
        db.close()

    def app_bus(self) -> Any:
        """Return the app's bus."""
        return self.app.services[1].workers[0].bus  # type: ignore[attr-defined]

    def sql(self, statement: str) -> int:
        """Do something to the book behind its back; return how many rows it changed."""
        db = self.database(MetaData())
        with db.begin() as conn:
            changed = conn.exec_driver_sql(statement).rowcount
        db.close()
        return int(changed)

    def database(self, metadata: MetaData) -> Database:
        """Open the book's database a second time."""
        if self.url != "sqlite":
            return Database(self.url, metadata, schema="registry")
        return Database(f"sqlite:///{self.folder / 'data' / 'registry.db'}", metadata)


@contextmanager
def registry_world_on(
    kind: str, folder: Path, server_address: Callable[[str], str]
) -> Iterator[RegistryWorld]:
    """Open intake and registry on `sqlite`, or on `postgres` in a database of their own."""
    if kind == "sqlite":
        with registry_world(folder) as made:
            yield made
        return
    server = make_url(server_address("postgres")).set(drivername="postgresql+psycopg")
    with postgres_database(server) as url, registry_world(folder, url) as made:
        yield made


@contextmanager
def postgres_database(server: URL) -> Iterator[str]:
    """Make a database on a server and drop it afterwards; gives its URL."""
    name = f"t_{uuid.uuid4().hex}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as conn:
        conn.execute(text(f'CREATE DATABASE "{name}"'))
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as conn:
            conn.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
        engine.dispose()


@contextmanager
def registry_world(folder: Path, url: str = "sqlite") -> Iterator[RegistryWorld]:
    """Open intake and registry in a folder."""
    settings = load(
        {},
        data_dir=folder / "data",
        db_url=url,
        pack=write_pack(folder / "pack"),
        token=TOKEN,
        keyring=keys.TEXT,
        partitions=3,
    )
    clock = VirtualClock(START)
    app = open_app(settings, [intake.build, registry.build], clock=clock, serve=False)
    try:
        door, book = app.services
        assert isinstance(door, intake.Intake)
        assert book.api is not None
        with TestClient(book.api, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            yield RegistryWorld(
                app=app, clock=clock, book=client, door=door, folder=folder, url=url
            )
    finally:
        app.stop()
