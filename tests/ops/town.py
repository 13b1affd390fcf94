"""A whole installation in this process under a clock that the test moves, and what befalls it."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from services.allinone.apis import Apis, Remote
from services.allinone.embedded import BUILDS, with_console
from services.kernel.clock import SystemClock, VirtualClock, rfc3339
from services.kernel.contracts.records import Outgoing
from services.kernel.contracts.topics import CHANGES
from services.kernel.runtime import App, Context, Service, open_app
from services.kernel.settings import ensure_token, load
from tests.arch.tree import ROOT

PACK: Final = ROOT / "examples" / "town-day" / "pack"
ROLES: Final = ("duty", "second_duty", "station_head", "township_duty", "county_hotline")
Item = dict[str, Any]


class Channel:
    """A receiver of notices that answers what it is told to."""

    def __init__(self) -> None:
        self.status = 204
        channel = self

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(channel.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep the output of the tests quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Town:
    """The app, its APIs over HTTP, and its clock."""

    def __init__(self, folder: Path, channel: Channel) -> None:
        self.folder = folder
        self.channel = channel
        self.clock = VirtualClock(SystemClock().now())
        settings = load({}, data_dir=folder, pack=PACK, http_port=0, webhook_url=channel.url)
        self._contexts: list[Context] = []
        self.app: App = open_app(settings, with_console((*BUILDS, self._tap)), clock=self.clock)
        self.app.start()
        names = ("intake", "registry", "risk", "alerts", "dead")
        urls = {name: self.app.url(name) for name in names}
        self.apis = Apis(Remote(urls, ensure_token(settings)))
        self._number = itertools.count(1)

    def _tap(self, ctx: Context) -> Service:
        self._contexts.append(ctx)
        return Service(name="tap")

    def later(self, microseconds: int) -> None:
        """Let the clock move on."""
        self.clock.advance_to(self.clock.now() + microseconds)

    def item(self, type_: str, who: str, **data: object) -> Item:
        """Return a fact of now about somebody in a home of their own."""
        return {
            "type": type_, "source": "test", "sourceid": str(next(self._number)),
            "time": rfc3339(self.clock.now()), "person": who, "household": f"home-{who}",
            "data": data,
        }  # fmt: skip

    def send(self, *items: Item) -> list[str]:
        """Bring items to the door; return what was done with each."""
        key = f"batch-{next(self._number)}"
        answer = self.apis.send("POST", "intake", "/v1/changes:batch", list(items), key)
        return [each["status"] for each in answer["items"]]

    def reds(self, count: int) -> list[str]:
        """Bring as many emergencies of different people."""
        who = [f"elder-{next(self._number)}" for _ in range(count)]
        return self.send(*(self.item("health.vitals", name, systolic=192) for name in who))

    def roster(self, until: int) -> list[str]:
        """Have somebody in every role until then."""
        turn = {"from": rfc3339(self.clock.now()), "to": rfc3339(until)}
        return self.send(
            *(
                self._placed(self.item("registry.duty", role, role=role, staff=role, **turn))
                for role in ROLES
            )
        )

    def _placed(self, item: Item) -> Item:
        rest = {key: value for key, value in item.items() if key not in ("person", "household")}
        return {**rest, "place": "town"}

    def acknowledge(self) -> None:
        """Have somebody acknowledge one open alert."""
        alert = next(iter(self.apis.items("alerts", "/v1/alerts")))
        body = {"by": {"id": "li", "name": "Li"}}
        self.apis.send("POST", "alerts", f"/v1/alerts/{alert['id']}/acknowledge", body, "ack")

    def poison(self) -> None:
        """Put something on the bus that nobody can read."""
        self._contexts[0].bus.publish([Outgoing(CHANGES.name, "home-x", b"\xff no message", ())])

    @contextmanager
    def held(self, service: str) -> Iterator[None]:
        """Keep a service from writing its database for a while."""
        with closing(sqlite3.connect(self.folder / f"{service}.db", timeout=20)) as conn:
            conn.isolation_level = None
            conn.execute("BEGIN IMMEDIATE")
            yield
            conn.execute("ROLLBACK")

    def forget_table(self, service: str, table: str) -> None:
        """Damage a database."""
        with closing(sqlite3.connect(self.folder / f"{service}.db", timeout=20)) as conn:
            conn.execute(f"DROP TABLE {table}")

    def worker(self, service: str, name: str) -> Any:
        """Return a worker of a service."""
        found = next(each for each in self.app.services if each.name == service)
        return next(each for each in found.workers if each.name == name)

    def stop(self) -> None:
        """Stop the app and let go of the connections."""
        self.apis.close()
        self.app.stop()
