"""The sepsis log cut at random instants: the alerts API shows what the log itself says by then."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from services.allinone.apis import Apis
from services.allinone.replay.feeder import Piece, course, packed
from services.allinone.replay.run import begun, run_for
from services.allinone.replay.sorting import by_receipt
from services.intake.files import mapped
from services.intake.mapping import load as load_map
from services.kernel.clock import MINUTE, rfc3339, to_us
from tests.support.replay import FILES, new_folder, plan_of, rows_of

pytestmark = [pytest.mark.data, pytest.mark.slow, pytest.mark.timeout(900)]
CUTS = 20
STEPS = {"notify": 0, "second": 30 * MINUTE, "escalate": 60 * MINUTE}


class Case(NamedTuple):
    """A patient's triage and first antibiotics, microseconds; None where there were none."""

    name: str
    triage: int
    antibiotics: int | None

    def lines(self, at: int) -> Iterator[str]:
        """Yield what has happened by `at`, as subject|step|time."""
        if self.triage > at:
            return
        yield f"{self.name}|opened|{rfc3339(self.triage)}"
        treated = self.antibiotics is not None and self.antibiotics <= at
        if treated:
            yield f"{self.name}|handled|{rfc3339(self.antibiotics or 0)}"
        for step, after in STEPS.items():
            due = self.triage + after
            in_time = after > 0 and self.antibiotics is not None and self.antibiotics <= due
            if due <= at and not in_time:
                yield f"{self.name}|{step}|{rfc3339(due)}"


def cases(data_dir: Path) -> list[Case]:
    first: dict[tuple[str, str], int] = {}
    for row in rows_of(data_dir / FILES["sepsis"][0]):
        at = to_us(datetime.fromisoformat(row["timestamp"] + "+01:00"))
        key = row["case_id"], row["activity"]
        first[key] = min(at, first.get(key, at))
    return [
        Case(case, at, first.get((case, "IV Antibiotics")))
        for (case, activity), at in sorted(first.items())
        if activity == "ER Sepsis Triage"
    ]


def cuts(known: list[Case], seed: int) -> list[int]:
    """Return instants of all kinds: any, and the very ones at which something is due or done."""
    pick = random.Random(seed)
    begin, end = min(c.triage for c in known), max(c.triage for c in known)
    anywhere = [pick.randrange(begin, end) for _ in range(CUTS // 2)]
    triages = [c.triage + pick.choice(list(STEPS.values())) for c in pick.sample(known, 5)]
    treated = [c.antibiotics for c in pick.sample(known, 40) if c.antibiotics is not None][:5]
    return sorted(anywhere + triages + treated)


def shown(apis: Apis) -> tuple[set[str], dict[str, str | None]]:
    """Return the exported lines, and the open alerts with when they were handled."""
    lines = {
        f"{item['subject']}|{item['step']}|{item['time']}"
        for item in apis.items("alerts", "/v1/timeline")
    }
    found = list(apis.items("alerts", "/v1/alerts", state="open"))
    assert len(found) == len({alert["subject"] for alert in found})
    return lines, {alert["subject"]: alert["handled_at"] for alert in found}


def test_every_cut_shows_the_alerts_open_and_the_steps_fired_by_then(
    data_dir: Path, tmp_path: Path
) -> None:
    known = cases(data_dir)
    assert len(known) == 703
    instants = cuts(known, seed=20)
    assert len(instants) == CUTS
    plan = plan_of("sepsis", data_dir, marks=instants)
    rows = by_receipt(packed(mapped(load_map(plan.map), plan.logs, replay=True), 1))
    compared = 0
    with begun(new_folder(tmp_path, plan), run_for(plan)) as going:
        for part in course(rows, size=plan.batch, marks=instants):
            if isinstance(part, Piece):
                going.feeder.send(part)
                continue
            going.feeder.mark(part)
            going.drain()
            lines, open_alerts = shown(going.apis)
            assert lines == {line for case in known for line in case.lines(part)}
            assert open_alerts == {
                case.name: rfc3339(case.antibiotics)
                if case.antibiotics is not None and case.antibiotics <= part
                else None
                for case in known
                if case.triage <= part
            }
            compared += 1
    assert compared == CUTS
