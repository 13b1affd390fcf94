from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.deploy.conftest import Command, own_instance

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.timeout(200)]


def one(dsn: str, statement: str) -> object:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(statement.encode()).fetchone()
        assert row is not None
        return row[0]


def run(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement.encode())


@pytest.fixture(scope="module")
def standing(root: Path) -> Iterator[Command]:
    """A server that is up, for questions that leave it so."""
    for command in own_instance(root, "postgres"):
        command.succeed("up")
        yield command


def test_up_of_what_is_up_answers_the_same(standing: Command) -> None:
    assert standing.succeed("up") == standing.succeed("status")


def test_a_client_connects_to_an_empty_durable_database(standing: Command) -> None:
    dsn = standing.succeed("status")
    assert one(dsn, "select current_database()") == "hearthwatch"
    assert one(dsn, "select pg_encoding_to_char(encoding) from pg_database limit 1") == "UTF8"
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        assert one(dsn, f"show {setting}") == "on"
    assert one(dsn, "show max_connections") == "100"
    assert one(dsn, "show timezone") == "UTC"


def test_wrong_credentials_are_refused(standing: Command) -> None:
    known = standing("status", "--json").json()
    place = f"{known['host']}:{known['port']}/{known['database']}"
    for who in ("postgres:wrong", "nobody:wrong", "postgres"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"postgresql://{who}@{place}")


def test_what_was_committed_survives_kill_and_restart(postgres: Command) -> None:
    dsn = postgres.succeed("up")
    run(dsn, "create table kept as select generate_series(1, 1000) as n")
    with psycopg.connect(dsn) as held:  # a worker that is at it when the server is killed
        held.execute("insert into kept values (0)")
        postgres.succeed("kill")
        assert postgres("status").code == 1
        with pytest.raises(psycopg.OperationalError):
            held.execute("select 1")
        held.close()
    assert postgres.succeed("start") == dsn
    assert one(dsn, "select count(*) from kept") == 1000

    assert postgres.succeed("down") == "stopped"
    assert postgres.succeed("up") == dsn
    assert one(dsn, "select count(*) from kept") == 1000


def test_down_does_not_wait_for_clients_that_stay_connected(postgres: Command) -> None:
    dsn = postgres.succeed("up")
    with psycopg.connect(dsn) as held:
        held.execute("select 1")
        answer = postgres("down")
        held.close()
    assert answer.out == "stopped\n"
    assert "killed" not in answer.err


def test_killing_twice_says_that_nothing_runs(postgres: Command) -> None:
    postgres.succeed("up")
    postgres.succeed("kill")
    answer = postgres("kill")
    assert answer.code == 1
    assert "not running: nothing to kill" in answer.err


def test_wiping_gives_new_data_behind_a_new_password(postgres: Command) -> None:
    first = postgres.succeed("up")
    run(first, "create table gone (n int)")
    password = postgres("status", "--json").json()["password"]
    postgres.succeed("down", "--wipe")
    second = postgres.succeed("up")
    assert postgres("status", "--json").json()["password"] != password
    assert one(second, "select count(*) from pg_tables where tablename = 'gone'") == 0


def test_the_server_runs_unprivileged_and_its_password_is_its_own(standing: Command) -> None:
    known = standing("status", "--json").json()
    assert (Path("/proc") / str(known["pid"])).stat().st_uid != 0
    password = Path(known["directory"]) / "password"
    assert password.stat().st_mode & 0o777 == 0o600
    assert known["password"] not in Path(known["log"]).read_text()


def test_debians_own_package_runs_without_being_installed(postgres: Command) -> None:
    dsn = postgres.succeed("up", "--fetch")
    known = postgres("status", "--json").json()
    program = (Path("/proc") / str(known["pid"]) / "exe").readlink()
    assert "/debian/usr/lib/postgresql/" in str(program)
    assert one(dsn, "select 1 + 1") == 2
