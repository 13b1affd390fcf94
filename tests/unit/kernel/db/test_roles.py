"""Names of schemas and roles, and what a server's refusal is taken for; no server needed."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from services.kernel.db import roles
from services.kernel.db.faults import refusal
from services.kernel.errors import Retryable, WrongUse


def test_a_runs_schema_begins_with_its_name() -> None:
    assert roles.schema_of("risk") == "risk"
    assert roles.schema_of("risk", "r1") == "r1_risk"


@pytest.mark.parametrize("run", ['x"; drop', "R1", "r" * 60])
def test_a_name_that_cannot_be_one_is_refused(run: str) -> None:
    with pytest.raises(WrongUse):
        roles.schema_of("risk", run)


@pytest.mark.parametrize("url", ["sqlite:///x.db", "no url", "mysql://a@b/c"])
def test_only_postgresql_has_roles(url: str) -> None:
    with pytest.raises(WrongUse, match="HEARTHWATCH_DB_URL"):
        roles.provision(url)


def test_a_live_schema_is_never_dropped() -> None:
    with pytest.raises(WrongUse, match="drop a live schema by hand"):
        roles.remove("postgresql://a@127.0.0.1:1/x")


def test_a_server_that_is_away_is_waited_for_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(Retryable):
        roles.provision_into("postgresql://a:b@127.0.0.1:1/x", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ('FATAL:  password authentication failed for user "x"', "it refuses name or password"),
        ('FATAL:  role "x" does not exist', "no such role"),
        ('FATAL:  database "x" does not exist', "no such database"),
        ("fe_sendauth: no password supplied", "it wants a password"),
        ('FATAL:  no pg_hba.conf entry for host "::1"', "it lets nobody in from here"),
        ("connection refused", None),
        ("FATAL:  the database system is starting up", None),
        ("FATAL:  sorry, too many clients already", None),
    ],
)
def test_only_what_waiting_cannot_mend_is_a_refusal(said: str, reason: str | None) -> None:
    assert refusal(OperationalError("connect", None, Exception(said))) == reason
