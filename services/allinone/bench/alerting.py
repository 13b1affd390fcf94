"""The engine of alerts: many steps due at one instant, and the queue with many open alerts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec

from services.allinone.apis import Apis, Local
from services.allinone.bench import floor
from services.allinone.bench.rows import Result, percentile, result
from services.allinone.demo.run import PACK
from services.allinone.embedded import BUILDS
from services.intake.wiring import Intake
from services.kernel import settings as kernel_settings
from services.kernel.clock import (
    HOUR,
    Monotonic,
    SystemMonotonic,
    VirtualClock,
    parse_rfc3339,
    rfc3339,
)
from services.kernel.runtime import App, open_app
from services.kernel.settings import ensure_token

COMMAND: Final = "hearthwatch bench --only alerts"
AT: Final = parse_rfc3339("2026-11-02T08:00:00+08:00")
DUE: Final = 6_000
_BATCH: Final = 500
_ASKED: Final = 100
_P95: Final = 0.95


def rows(*, quick: bool, tell: Callable[[str], None]) -> Iterator[Result]:
    """Yield the figures of alerts."""
    monotonic = SystemMonotonic()
    due, open_ = (600, 2_000) if quick else (DUE, 100_000)
    spent_s = burst(due, monotonic)
    yield result(
        f"alerts: {due:,} escalations due at one instant, all handed to delivery",
        spent_s, "s", floor.writes(due, _BATCH, monotonic), COMMAND,
    )  # fmt: skip
    tell(f"  opening {open_:,} alerts")
    for name, value in queue(open_, monotonic):
        yield result(f"alerts: {name} with {open_:,} open", value * 1000, "ms p95", None, COMMAND)


def burst(count: int, monotonic: Monotonic) -> float:
    """Return the seconds from the due instant until every step that was due is delivered."""
    with TemporaryDirectory(prefix="hearthwatch-bench-") as folder:
        clock = VirtualClock(AT)
        app, token = _opened(Path(folder), clock)
        try:
            _open_alerts(app, count)
            fire = next(t for s in app.services for t in s.ticks if t.name == "alerts.fire")
            clock.advance_to(AT + HOUR)
            started_s = monotonic.seconds()
            fire.call()
            app.step()
            spent_s = monotonic.seconds() - started_s
            _check(count, app, token, clock)
            return spent_s
        finally:
            app.stop()


def _check(count: int, app: App, token: str, clock: VirtualClock) -> None:
    """Refuse to tell the time of something that was not done."""
    with Apis(Local(app, token)) as apis:
        report = apis.get("alerts", "/v1/report", at=rfc3339(clock.now()))
        waiting = apis.get("alerts", "/v1/deliveries", state="queued", limit=1)["items"]
    if report["alerts"]["escalated"] != count or waiting:
        raise RuntimeError(f"of {count} escalations due, not all were handed over: {report}")


def queue(count: int, monotonic: Monotonic) -> Iterator[tuple[str, float]]:
    """Yield name and 95th percentile (seconds) of what people do most, with `count` open alerts."""
    with TemporaryDirectory(prefix="hearthwatch-bench-") as folder:
        app, token = _opened(Path(folder), VirtualClock(AT))
        try:
            _open_alerts(app, count)
            with Apis(Local(app, token)) as apis:
                yield "a page of the queue", _timed(monotonic, lambda _: _page(apis))
                ids = [alert["id"] for alert in _page(apis)["items"]]
                yield "one acknowledgement", _timed(monotonic, lambda n: _acknowledge(apis, ids[n]))
                rounds = min(5, count // _BATCH - 1)
                bulk_s = _timed(monotonic, lambda n: _bulk(apis, n), rounds)
                yield "bulk acknowledgement of 500", bulk_s
        finally:
            app.stop()


def _timed(monotonic: Monotonic, call: Callable[[int], object], times: int = _ASKED) -> float:
    spent = []
    for number in range(times):
        before_s = monotonic.seconds()
        call(number)
        spent.append(monotonic.seconds() - before_s)
    return percentile(spent, _P95)


def _page(apis: Apis) -> Any:  # noqa: ANN401 - JSON
    return apis.get("alerts", "/v1/alerts", limit=_ASKED)


def _acknowledge(apis: Apis, alert: str) -> None:
    body = {"by": {"id": "bench", "name": "bench"}}
    apis.send("POST", "alerts", f"/v1/alerts/{alert}/acknowledge", body, key=f"ack/{alert}")


def _bulk(apis: Apis, number: int) -> None:
    found = apis.get("alerts", "/v1/alerts", limit=_BATCH, state="new")["items"]
    body = {"by": {"id": "bench", "name": "bench"}, "ids": [alert["id"] for alert in found]}
    apis.send("POST", "alerts", "/v1/alerts/acknowledge", body, key=f"bulk/{number}")


def _opened(folder: Path, clock: VirtualClock) -> tuple[App, str]:
    settings = kernel_settings.load({}, data_dir=folder, pack=PACK, partitions=4)
    return open_app(settings, BUILDS, clock=clock, serve=False), ensure_token(settings)


def _open_alerts(app: App, count: int) -> None:
    """Have `count` people found to be a danger at one instant, and let it through the chain."""
    intake = next(service for service in app.services if isinstance(service, Intake))
    for start in range(0, count, _BATCH):
        numbers = range(start, min(count, start + _BATCH))
        intake.door.accept([_danger(number) for number in numbers])
        if start // _BATCH % 16 == 15:  # noqa: PLR2004 - a few thousand at a time
            app.step()
    app.step()


def _danger(number: int) -> bytes:
    return msgspec.json.encode(
        {
            "type": "smi.danger_assessed",
            "source": "bench",
            "sourceid": str(number),
            "time": rfc3339(AT),
            "person": f"person-{number}",
            "household": f"home-{number}",
            "data": {"level": 4, "class": "unstable"},
        }
    )
