"""What risk keeps in memory is a cache: letting go of nearly all of it changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.allinone.replay.reporting import digest_of
from services.allinone.replay.run import Plan, Unwatched, begun, feed, run_for
from services.intake.mapping import load as load_map
from services.kernel.bus.worker import Worker
from services.risk import handlers
from tests.generated.log import generated, write
from tests.support.replay import new_folder


@pytest.fixture
def plan(tmp_path: Path, root: Path) -> Plan:
    log = write(generated(20261122, size=4, called=20), tmp_path / "log.jsonl")
    told = root / "tests" / "generated"
    return Plan(logs=[log], map=told / "map.yaml", pack=told / "pack", batch=50)


def run(plan: Plan, folder: Path, facts: int) -> tuple[tuple[str, int], int]:
    """Return the digest of a run with room for so many facts, and how many were held at the end."""
    folder.mkdir()
    with begun(new_folder(folder, plan), run_for(plan)) as going:
        assert going.app is not None
        workers = [w for s in going.app.services for w in s.workers if isinstance(w, Worker)]
        (handler,) = [w.handler for w in workers if isinstance(w.handler, handlers.Changes)]
        handler.facts = facts
        going.feeder.mark(feed(plan, load_map(plan.map), going, Unwatched()))
        going.drain()
        return digest_of(going.apis), handler.held()


def test_room_for_few_facts_gives_the_same_digest(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "WEIGH_EVERY", 1)
    roomy, all_held = run(plan, tmp_path / "roomy", 1_000_000)
    tight, few_held = run(plan, tmp_path / "tight", 20)
    assert tight == roomy
    assert few_held <= 20 < all_held
