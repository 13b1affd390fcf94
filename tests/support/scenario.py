"""The language of the alert scenarios, read aloud: raise, forward, expect.

    world.at(0).raise_alert("p1")
    world.forward(minutes=10)
    world.expect("second to second_duty")
    world.over()

Everything real but the clock and the channel: the whole alerts service on a database and a bus,
turned by hand. `over` turns the engine three more times, a minute apart, and fails on anything that
nobody expected.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from fastapi.testclient import TestClient
from httpx2 import Response

from services.alerts.engine.auditing import Auditor
from services.alerts.engine.delivering import Deliverer
from services.alerts.senders.port import Outbound, Result
from services.alerts.wiring import assemble
from services.kernel.bus.port import Bus
from services.kernel.clock import HOUR, MINUTE, SECOND, SystemMonotonic, VirtualClock, from_us
from services.kernel.contracts import assessments as a
from services.kernel.contracts import changes as c
from services.kernel.contracts.envelope import Envelope, encode, raw
from services.kernel.contracts.records import Outgoing
from services.kernel.contracts.topics import ASSESSMENTS
from services.kernel.runtime import App, Context, Service, open_app
from services.kernel.settings import load
from tests.support import keys

TOKEN: Final = "a-token-of-tests-only"
START: Final = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z
PACK: Final = {
    "pack.yaml": 'name: town\nversion: "1"\nunreadable: emergency\n',
    "rules.yaml": """
- {id: R1, level: 3, ladder: emergency, title: {zh: 红, en: red}}
- {id: R2, level: 2, ladder: visit, title: {zh: 黄, en: yellow}}
- {id: R3, level: 2, ladder: brief, title: {zh: 短, en: brief}}
- {id: R4, level: 1, title: {zh: 蓝, en: no ladder}}
""",
    "alerts.yaml": """
ladders:
  emergency:
    emergency: 60m
    steps:
      - {step: notify, after: 0m, to: [duty]}
      - {step: second, after: 10m, to: [second_duty], until: acknowledged}
      - {step: head, after: 30m, to: [station_head], until: handled}
      - {step: escalate, after: 60m, to: [township_duty, county_hotline], until: handled}
    deadlines: {on_site: {after: 60m, until: handled}}
    tasks: [{stage: warning, due: 10m}, {stage: visit, due: 60m}, {stage: handling, due: 48h}]
  visit:
    steps:
      - {step: ask, after: 0m, to: [duty]}
      - {step: remind, after: 24h, to: [duty]}
    deadlines: {day: {after: 24h}}
  brief:
    on_ended: close
    steps: [{step: tell, after: 0m, to: [duty]}]
""",
}


def write_pack(folder: Path, **files: str) -> Path:
    """Write the pack of the scenarios, or one with other files, into a folder; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (PACK | {f"{stem}.yaml": text for stem, text in files.items()}).items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


class FakeSender:
    """A channel that records and answers as told: by default `delivered`.

    instant: False sends from the deliverer's threads, so that a hanging one can be shown.
    """

    name = "fake"

    def __init__(self, *, instant: bool = True) -> None:
        self.instant = instant
        self.sent: list[Outbound] = []
        self.answers: dict[str, list[Result]] = {}
        self.hangs: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def send(self, message: Outbound) -> Result:
        if (gate := self.hangs.get(message.to)) is not None:
            gate.wait(20)
            return Result("temporary", "timeout")
        with self._lock:
            self.sent.append(message)
            told = self.answers.get(message.to)
            return told.pop(0) if told else Result("delivered")

    def close(self) -> None:
        for gate in self.hangs.values():
            gate.set()


class World:
    """One alerts service under a virtual clock. Times are microseconds after START."""

    def __init__(
        self,
        folder: Path,
        *,
        drive: str = "clock",
        sender: FakeSender | None = None,
        pack: Path | None = None,
        partitions: int = 2,
        settings: dict[str, object] | None = None,
        clock: VirtualClock | None = None,
    ) -> None:
        self.sender = sender or FakeSender()
        self.clock = clock or VirtualClock(START)
        self.engine_runs = True
        self._count = 0
        self._expected = 0
        self._settings = load(
            {},
            **{
                "data_dir": folder / "data",
                "pack": pack or write_pack(folder / "pack"),
                "token": TOKEN,
                "keyring": keys.TEXT,
                "partitions": partitions,
                "alerts_drive": drive,
                **(settings or {}),
            },
        )
        self.open()

    def open(self) -> None:
        """Start the service, again after `kill`."""
        held: list[Context] = []

        def build(ctx: Context) -> Service:
            held.append(ctx)
            return assemble(ctx, self.sender)

        self.app: App = open_app(
            self._settings, [build], clock=self.clock, monotonic=SystemMonotonic(), serve=False
        )
        self.service = self.app.services[0]
        self.context = held[0]
        self.bus: Bus = held[0].bus
        assert self.service.api is not None
        self.http = TestClient(self.service.api, headers={"Authorization": f"Bearer {TOKEN}"})

    def close(self) -> None:
        self.sender.close()
        self.app.stop()

    @property
    def deliverer(self) -> Deliverer:
        return next(w for w in self.service.workers if isinstance(w, Deliverer))

    @property
    def auditor(self) -> Auditor:
        return next(w for w in self.service.workers if isinstance(w, Auditor))

    # --- what happens ----------------------------------------------------------------------------

    def at(self, *, hours: float = 0, minutes: float = 0, seconds: float = 0) -> World:
        """Move the clock to so long after the start."""
        self.clock.advance_to(START + _span(hours, minutes, seconds))
        return self

    def forward(self, *, hours: float = 0, minutes: float = 0, seconds: float = 0) -> World:
        """Move the clock on and turn everything once."""
        self.clock.advance_to(self.clock.now() + _span(hours, minutes, seconds))
        self.turn()
        return self

    def turn(self) -> None:
        """Turn the engine (unless it is down), then worker, deliverer and relay until all rest."""
        if self.engine_runs:
            for tick in self.service.ticks:
                tick.call()
        self.app.step()

    def raise_alert(
        self,
        subject: str,
        rule: str = "R1",
        *,
        level: int = 3,
        instance: str = "",
        clock_start: int | None = None,
        since: int | None = None,
        id: str | None = None,
        household: str | None = None,
    ) -> World:
        """Have risk say that a rule holds for a subject, now."""
        now = self.clock.now()
        reason = a.Reason(
            rule=rule,
            level=level,
            since=from_us(now if since is None else since),
            clock_start=from_us(now if clock_start is None else clock_start),
            instance=instance,
        )
        self.say(self.assessment(subject, [reason], household=household), subject, household, id)
        return self

    def assessment(
        self,
        subject: str,
        reasons: list[a.Reason],
        ended: list[a.Ended] | None = None,
        household: str | None = None,
    ) -> a.Assessment:
        level = max((r.level for r in reasons), default=0)
        return a.Assessment(
            subject=subject,
            household=household or f"home-of-{subject}",
            kind="person",
            level=level,
            was=0,
            household_level=level,
            at=from_us(self.clock.now()),
            reasons=reasons,
            ended=ended or [],
            pack="1",
        )

    def end(self, subject: str, rule: str = "R1", how: a.Ending = "ended") -> World:
        """Have risk say that a rule no longer holds."""
        self.say(self.assessment(subject, [], [a.Ended(rule=rule, how=how)]), subject)
        return self

    def pass_fact(self, subject: str, role: a.Role, *, id: str | None = None, **more: Any) -> World:
        """Have risk pass on a fact that acknowledges, handles or closes."""
        fact = a.Passed(
            subject=subject,
            household=f"home-of-{subject}",
            role=role,
            fact="f1",
            type="care.given",
            at=from_us(self.clock.now()),
            **more,
        )
        self.say(fact, subject, id=id)
        return self

    def say(
        self, payload: object, subject: str, household: str | None = None, id: str | None = None
    ) -> None:
        """Publish a message of risk about a subject, and let it pass."""
        self._count += 1
        home = household or f"home-of-{subject}"
        message = self.envelope(payload, subject, home, id or f"m{self._count}")
        self.bus.publish([Outgoing(ASSESSMENTS.name, home, encode(message))])
        self.turn()

    def envelope(self, payload: object, subject: str, household: str, id: str) -> Envelope:
        now = from_us(self.clock.now())
        return Envelope(
            id=id,
            type=_TYPES[type(payload)],
            source="risk",
            time=now,
            subject=subject,
            partitionkey=household,
            receivedat=now,
            data=raw(payload),
        )

    def mark(self, *, hours: float = 0, minutes: float = 0, seconds: float = 0) -> World:
        """Have risk mark every partition at so long after the start."""
        at = START + _span(hours, minutes, seconds)
        self.bus.publish(
            [
                Outgoing(
                    ASSESSMENTS.name, None, encode(c.mark("risk", ASSESSMENTS.name, n, at)), (), n
                )
                for n in range(self._settings.partitions)
            ]
        )
        self.turn()
        return self

    # --- people ----------------------------------------------------------------------------------

    def act(
        self,
        subject: str,
        action: str,
        by: str = "li",
        *,
        key: str | None = None,
        match: str | None = "*now",
        **body: Any,
    ) -> Response:
        """Act on the open alert of a subject over HTTP; `match` None sends no If-Match."""
        self._count += 1
        alert = self.alert(subject)
        headers = {"Idempotency-Key": key or f"k{self._count}"}
        if match is not None:
            headers["If-Match"] = f'"{alert["version"]}"' if match == "*now" else match
        answer = self.http.post(
            f"/v1/alerts/{alert['id']}/{action}",
            json={"by": {"id": by, "name": by.title()}, **body},
            headers=headers,
        )
        self.turn()
        return answer

    # --- what came of it -------------------------------------------------------------------------

    def get(self, path: str, **query: Any) -> Any:
        answer = self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def alerts(self, **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/v1/alerts", limit=10_000, **query)["items"]
        return found

    def alert(self, subject: str, rule: str | None = None, state: str = "all") -> dict[str, Any]:
        """Return the newest alert of a subject, whole."""
        query = {"subject": subject, "state": state} | ({"rule": rule} if rule else {})
        found = self.alerts(**query)
        assert found, f"no alert of {subject}"
        newest = max(found, key=lambda alert: (alert["closed_at"] is None, alert["opened_at"]))
        whole: dict[str, Any] = self.get(f"/v1/alerts/{newest['id']}")
        return whole

    def lines(self) -> list[str]:
        """Return the digest's lines, sorted."""
        found = self.get("/v1/timeline", limit=10_000)["items"]
        return sorted(item["line"] for item in found)

    def told(self) -> list[str]:
        """Return who was told what since the last look, as `step to role`, sorted."""
        new = self.sender.sent[self._expected :]
        self._expected = len(self.sender.sent)
        return sorted(f"{message.step} to {message.role}" for message in new)

    def expect(self, *told: str) -> World:
        """Fail unless exactly this was told since the last look: nothing less, nothing more."""
        assert self.told() == sorted(told)
        return self

    def over(self) -> None:
        """End a scenario: three more minutes bring nothing new, and every row is in order."""
        for _ in range(3):
            self.forward(minutes=1)
        assert self.told() == [], "nobody expected this"
        assert self.get("/v1/audit") == {"ok": True, "findings": []}


_TYPES: Final[dict[type, str]] = {
    a.Assessment: a.ASSESSED,
    a.Passed: a.PASSED,
    a.Moved: a.MOVED,
    c.Unreadable: c.UNREADABLE,
    c.Mark: c.MARK,
}


def _span(hours: float, minutes: float, seconds: float) -> int:
    return round(hours * HOUR + minutes * MINUTE + seconds * SECOND)


@contextmanager
def world(folder: Path, **given: Any) -> Iterator[World]:
    """Give a world, and check at the end that nothing unexpected follows."""
    made = World(folder, **given)
    try:
        yield made
        made.over()
    finally:
        made.close()


def raw_value(payload: object) -> bytes:
    """Return a payload's JSON."""
    return msgspec.json.encode(payload)


WorldOf = Callable[..., World]
