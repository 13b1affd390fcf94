"""How soon: from a change to its alert, and from a due step to its delivery, under steady load.

Half of what the embedded chain can sustain comes in, a batch of 500 at a time; the ladder's steps
are set to seconds, so that many come due while it comes.
"""

from __future__ import annotations

import http.client
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import urlsplit

from services.allinone.apis import Apis, Local
from services.allinone.bench.embedded import (
    BATCH,
    PACK,
    bodies,
    caught_up,
    end_to_end,
    opened,
    post,
)
from services.allinone.bench.rows import Result, percentile, result
from services.kernel.clock import SECOND, Monotonic, SystemMonotonic, parse_rfc3339
from services.kernel.metrics import MetricName, Metrics
from services.kernel.runtime import App

COMMAND: Final = "hearthwatch bench --only latency"
_SHARE: Final = 0.99
_STEPS: Final = {"after: 10m,": "after: 2s,", "after: 30m,": "after: 4s,"}
"""The second and the third step of the ladder, brought near."""
_PAGE: Final = 1_000
_SENT_S: Final = 30.0
_LOOK_S: Final = 0.1


class _Kept(Metrics):
    """Metrics that keep every time from a change to its alert."""

    def __init__(self) -> None:
        super().__init__()
        self.took_s: list[float] = []

    def observe(self, name: MetricName, value: float, **labels: str) -> None:
        """Add one observation to a histogram."""
        if name == "hearthwatch_alerts_change_to_alert_seconds" and labels["cause"] == "fact":
            self.took_s.append(value)
        super().observe(name, value, **labels)


def rows(*, quick: bool, tell: Callable[[str], None]) -> Iterator[Result]:
    """Yield the figures of promptness."""
    monotonic = SystemMonotonic()
    changes = 3_000 if quick else 40_000
    batches = bodies(changes, max(50, changes // 40), today=True)
    rate = end_to_end(batches[: len(batches) // 2], monotonic) / 2
    tell(f"  {rate:,.0f} changes/s come in")
    took_s, late_s = steady(batches, rate, monotonic)
    for name, values in (("from a change to its alert", took_s), ("a due step's delivery", late_s)):
        told = f"{name}, {len(values):,} of them at half the rate"
        yield result(f"{told}, p99", percentile(values, _SHARE), "s", None, COMMAND)
        yield result(f"{told}, latest", max(values), "s", None, COMMAND)


def steady(
    batches: Sequence[Sequence[bytes]], rate: float, monotonic: Monotonic
) -> tuple[list[float], list[float]]:
    """Return the seconds from each change to its alert, and from each due step to its delivery.

    Args:
        batches: What comes in, one batch after the other.
        rate: Changes per second.
        monotonic: Machine time, by which they come in.
    """
    metrics, never = _Kept(), threading.Event()
    with (
        TemporaryDirectory(prefix="hearthwatch-bench-") as folder,
        opened(serve=True, pack=_hurried(Path(folder)), metrics=metrics) as (app, token),
    ):
        app.start()
        address = urlsplit(app.url("intake"))
        client = http.client.HTTPConnection(str(address.hostname), int(address.port or 0))
        began_s = monotonic.seconds()
        for number, batch in enumerate(batches):
            wait_s = began_s + number * BATCH / rate - monotonic.seconds()
            if wait_s > 0:
                monotonic.wait(never, wait_s)
            post(client, address.path, token, f"bench/{number}", b"[" + b",".join(batch) + b"]")
        client.close()
        caught_up(app, monotonic)
        late_s = [_late_s(d) for d in _sent(app, token, monotonic)]
    return metrics.took_s, late_s


def _hurried(folder: Path) -> Path:
    """Return a copy of the pack whose ladder takes seconds."""
    root = folder / PACK.name
    shutil.copytree(PACK, root)
    file = root / "alerts.yaml"
    text = file.read_text("utf-8")
    for slow, quick in _STEPS.items():
        if slow not in text:
            raise RuntimeError(f"{file.name} has no step {slow!r}: nothing would come due")
        text = text.replace(slow, quick)
    file.write_text(text, encoding="utf-8")
    return root


def _sent(app: App, token: str, monotonic: Monotonic) -> list[dict[str, Any]]:
    """Return every delivery once all have been sent, or those that were after half a minute."""
    never, end_s = threading.Event(), monotonic.seconds() + _SENT_S
    while True:
        found = list(_deliveries(app, token))
        sent = [each for each in found if each["sent_at"]]
        if len(sent) == len(found) or monotonic.seconds() > end_s:
            return sent
        monotonic.wait(never, _LOOK_S)


def _deliveries(app: App, token: str) -> Iterator[dict[str, Any]]:
    with Apis(Local(app, token)) as apis:
        cursor = None
        while True:
            page = apis.get("alerts", "/v1/deliveries", limit=_PAGE, cursor=cursor)
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return


def _late_s(found: dict[str, Any]) -> float:
    return max(0, parse_rfc3339(found["sent_at"]) - parse_rfc3339(found["due_at"])) / SECOND
