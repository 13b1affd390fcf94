"""A kept run on Kafka and PostgreSQL: doctor, why and dlq look where its rows are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from services.allinone.replay.engines import Engines, remove
from services.allinone.replay.kept import kept_of
from services.allinone.replay.run import replay
from tests.support.replay import Ended, command, toy

pytestmark = [
    pytest.mark.connected,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("deployed"),
]


@pytest.fixture
def engines(server_address: Callable[[str], str]) -> Engines:
    return Engines(
        bus="kafka",
        db="postgres",
        bus_url=f"kafka://{server_address('kafka')}",
        db_url=server_address("postgres"),
    )


@pytest.fixture
def kept(tmp_path: Path, engines: Engines) -> Iterator[Path]:
    folder = tmp_path / "kept"
    replay(toy(tmp_path).plan(keep=folder, engines=engines))
    yield folder
    remove(engines, folder)


def asked(folder: Path, engines: Engines, *words: str) -> Ended:
    environ = {"HEARTHWATCH_DB_URL": engines.db_url}
    return command(*words, "--data", folder, environ=environ)


def test_doctor_why_and_dlq_read_a_kept_run(kept: Path, engines: Engines) -> None:
    stands = kept_of(kept)
    assert stands is not None
    assert engines.db_url not in (kept / "engines.json").read_text()

    healthy = asked(kept, engines, "doctor", "--json")
    found = json.loads(healthy.out)
    assert (healthy.code, found["ok"], found["difference"]) == (0, True, 0), healthy
    assert found["accepted"] == found["assessed"] > 0

    why = asked(kept, engines, "why", "guest-3", "--json")
    assert [reason["rule"] for reason in json.loads(why.out)["reasons"]] == ["B1"], why
    assert json.loads(asked(kept, engines, "dlq", "list", "--json").out) == {"items": []}

    with psycopg.connect(engines.db_url, autocommit=True) as conn:
        schema = f"{stands.name}_risk"
        gone = conn.execute(f"DELETE FROM {schema}.inbox WHERE id IN (SELECT min(id) FROM "
                            f"{schema}.inbox) RETURNING id").fetchone()  # fmt: skip
        conn.execute(f"UPDATE {stands.name}_alerts.alert SET level = level + 1 WHERE id IN "
                     f"(SELECT min(id) FROM {stands.name}_alerts.alert)")  # fmt: skip
    assert gone is not None
    sick = asked(kept, engines, "doctor", "--json")
    told = json.loads(sick.out)
    assert sick.code == 1
    assert gone[0] in {finding["id"] for finding in told["findings"]}
    assert "alerts" in {finding["service"] for finding in told["findings"]}


def test_a_kept_run_asks_for_its_database_by_name(kept: Path) -> None:
    ended = command("doctor", "--data", kept, environ={"HEARTHWATCH_DB_URL": "sqlite"})
    assert ended.code == 2
    assert "HEARTHWATCH_DB_URL" in ended.err
    assert "Traceback" not in ended.err
