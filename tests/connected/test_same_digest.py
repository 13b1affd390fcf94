"""The same chain on every engine: one log, one digest, nothing that the doctor misses."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pytest

from services.allinone.processes import Supervisor
from services.allinone.replay.engines import Engines
from services.allinone.replay.run import Plan
from tests.generated.log import generated, write
from tests.support.deployed import assert_same, passed, sepsis, short_log, truth
from tests.support.replay import EXAMPLES, FILES, write_csv

pytestmark = [
    pytest.mark.connected,
    pytest.mark.data,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("deployed"),
]
FORMS: Final[dict[str, dict[str, Any]]] = {
    "kafka-sqlite": {},
    "kafka-sqlite-each": {"processes": "each"},
    "kafka-postgres-each-two-workers": {"db": "postgres", "processes": "each", "risk_workers": 2},
    "kafka-postgres-each-faust": {"db": "postgres", "processes": "each", "risk": "faust"},
    "kafka-postgres-each-two-faust": {
        "db": "postgres",
        "processes": "each",
        "risk": "faust",
        "risk_workers": 2,
    },
}
SEPSIS: Final = {"opened": 703, "in_time": 227, "escalated": 476, "late": 327, "never": 149}
SEPSIS_DIGEST: Final = "05fdab910e1c7fa6"
"""How the digest of the whole sepsis log begins, on whatever it runs."""
SEED: Final = 20261122
NYC_ROWS: Final = 2_000
SHORT: Final = 1_500

Plans = Callable[..., Plan]
Expected = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def plans(data_dir: Path, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Plans:
    """Return what gives the plan of a log by its name."""
    folder = tmp_path_factory.mktemp("logs")

    @cache
    def log(name: str) -> Path:
        if name == "sepsis":
            return data_dir / FILES["sepsis"][0]
        if name == "short":
            return short_log(data_dir, folder, SHORT)
        if name == "generated":
            return write(generated(SEED, size=4, called=20), folder / "generated.jsonl")
        with gzip.open(data_dir / FILES["nyc311"][0], "rt", encoding="utf-8") as file:
            return write_csv(folder / "nyc.csv", islice(csv.DictReader(file), NYC_ROWS))

    def plan(name: str, **given: Any) -> Plan:
        if name in ("sepsis", "short"):
            return sepsis(log(name), **given)
        told = root / "tests" / "generated" if name == "generated" else EXAMPLES / "nyc311"
        return Plan(logs=[log(name)], map=told / "map.yaml", pack=told / "pack", **given)

    return plan


@pytest.fixture(scope="module")
def expected(plans: Plans) -> Expected:
    """Return what gives the report of a log in one process over SQLite."""
    return cache(lambda name: truth(plans(name)))


@pytest.fixture
def engines(server_address: Callable[[str], str]) -> Callable[..., Engines]:
    """Return what gives engines at the servers of the tests."""

    def call(**given: Any) -> Engines:
        return Engines(
            bus="kafka",
            bus_url=f"kafka://{server_address('kafka')}",
            db_url=server_address("postgres") if given.get("db") == "postgres" else "",
            **given,
        )

    return call


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["sepsis", "generated", "nyc311"])
def test_a_log_has_one_digest_on_every_form(
    plans: Plans, expected: Expected, engines: Callable[..., Engines], name: str, form: str
) -> None:
    plan = plans(name, engines=engines(**FORMS[form]))
    found = passed(plan)
    assert_same(found, expected(name))
    assert found.report["mode"] == plan.engines.mode
    assert found.report["alerts"]["opened"] > 0
    if name == "sepsis":
        assert {key: found.report["alerts"][key] for key in SEPSIS} == SEPSIS
        assert found.report["digest"].startswith(SEPSIS_DIGEST)


@pytest.mark.parametrize(
    ("process", "point"),
    [
        ("intake", "intake.accept.after_commit:3"),
        ("intake", "intake.relay.after_publish_before_mark:2"),
        ("risk", "risk.worker.before_commit:4"),
        ("risk", "risk.worker.after_commit_before_offset:4"),
        ("risk", "risk.relay.after_publish_before_mark:2"),
        ("alerts", "alerts.worker.after_commit_before_offset:2"),
    ],
)
def test_a_kill_at_a_crash_point_changes_nothing(
    plans: Plans,
    expected: Expected,
    engines: Callable[..., Engines],
    process: str,
    point: str,
) -> None:
    restarted: list[Supervisor] = []
    on = engines(processes="each", crash={process: point}, watch=restarted.append)
    assert_same(passed(plans("short", batch=50, engines=on)), expected("short"))
    assert restarted[0].children[process].starts > 1
