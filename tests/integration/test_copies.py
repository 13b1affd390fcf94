"""A data folder copied beside a writer and restored: nothing lost, nothing half, life goes on."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from services.allinone import doctor
from services.allinone.apis import Apis, Local
from services.allinone.cli import run
from services.allinone.copies import NOTE, backup, restore
from services.allinone.embedded import opened
from services.kernel.clock import MINUTE, VirtualClock
from services.kernel.errors import Faults, WrongUse
from services.kernel.settings import ensure_token, load
from tests.support.console_world import ConsoleWorld, console_world


@pytest.fixture(scope="module")
def w(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleWorld]:
    with console_world(tmp_path_factory.mktemp("copies")) as made:
        made.household("h1", "V1", name="张家")
        yield made


@pytest.fixture(scope="module")
def data(w: ConsoleWorld) -> Path:
    return Path(w.console.db.engine.url.database or "").parent


@pytest.fixture(scope="module")
def copy(w: ConsoleWorld, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("kept") / "copy"
    w.call("h1")
    backup(data, made, w.clock)
    return made


def test_what_was_backed_up_beside_a_process_goes_on_where_it_stood(
    w: ConsoleWorld, copy: Path, data: Path, tmp_path: Path
) -> None:
    before = w.apis.get("alerts", "/v1/alerts")["items"]
    assert run(["restore", str(copy), "--data", str(tmp_path / "data")]) == 0
    clock = VirtualClock(w.clock.now() + 31 * MINUTE)
    settings = load({}, data_dir=tmp_path / "data", pack=data.parent / "pack", partitions=2)
    with opened(settings, clock=clock) as app, Apis(Local(app, ensure_token(settings))) as apis:
        app.step()
        assert doctor.examine(apis).as_json()["findings"] == []
        now = apis.get("alerts", "/v1/alerts")["items"]
        assert [each["id"] for each in now] == [each["id"] for each in before]
        alerts = next(each for each in app.services if each.name == "alerts")
        for tick in alerts.ticks:
            tick.call()
        steps = apis.get("alerts", f"/v1/alerts/{now[0]['id']}")["timeline"]
        assert {"second", "head"} <= {each["step"] for each in steps}  # due while it was away
    assert (tmp_path / "data" / "token").read_text() == (data / "token").read_text()


def test_a_copy_is_for_its_owner_alone(copy: Path) -> None:
    assert copy.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in copy.iterdir())
    assert {path.suffix for path in copy.iterdir()} == {".db", ".json", ""}


def test_the_keyring_is_in_a_copy_on_asking_only_and_its_absence_is_told(
    w: ConsoleWorld, copy: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (data / "keyring").exists()
    assert not (copy / "keyring").exists()
    assert run(["--lang", "en", "backup", str(tmp_path / "a"), "--data", str(data)]) == 0
    assert "The keyring is not in the copy" in capsys.readouterr().out
    assert run(["--lang", "en", "restore", str(tmp_path / "a"), "--data", str(tmp_path / "d")]) == 0
    assert "no keyring in the copy" in capsys.readouterr().out
    with_it = ["backup", str(tmp_path / "b"), "--data", str(data), "--with-keyring"]
    assert run(["--lang", "en", *with_it]) == 0
    assert "not in the copy" not in capsys.readouterr().out
    assert (tmp_path / "b" / "keyring").read_bytes() == (data / "keyring").read_bytes()
    assert w.console.db.name == "sqlite"


def test_databases_and_bus_are_of_one_instant(w: ConsoleWorld, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in ("a.db", "bus.db"):
        with closing(sqlite3.connect(data / name)) as made:
            made.execute("PRAGMA journal_mode=WAL")
            made.execute("CREATE TABLE row (n INTEGER)")
    ended, begun = threading.Event(), threading.Event()

    def write() -> None:  # as a relay does: the bus inside a transaction of the service
        with (
            closing(sqlite3.connect(data / "a.db", timeout=30, isolation_level=None)) as a,
            closing(sqlite3.connect(data / "bus.db", timeout=30, isolation_level=None)) as bus,
        ):
            while not ended.is_set():
                for each in (a, bus):
                    each.execute("BEGIN IMMEDIATE")
                    each.execute("INSERT INTO row VALUES (1)")
                bus.execute("COMMIT")
                a.execute("COMMIT")
                begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert begun.wait(30)
        for n in range(3):
            backup(data, tmp_path / f"copy{n}", w.clock)
    finally:
        ended.set()
        writer.join()
    for n in range(3):
        counts = set()
        for name in ("a.db", "bus.db"):
            with closing(sqlite3.connect(tmp_path / f"copy{n}" / name)) as made:
                counts.add(made.execute("SELECT count(*) FROM row").fetchone()[0])
        assert len(counts) == 1


def test_a_copy_that_was_altered_or_not_finished_is_refused(copy: Path, tmp_path: Path) -> None:
    altered = tmp_path / "altered"
    altered.mkdir()
    for path in copy.iterdir():
        (altered / path.name).write_bytes(path.read_bytes())
    (altered / "token").write_text("another\n")
    with pytest.raises(Faults, match="token: found another content"):
        restore(altered, tmp_path / "data")
    (altered / NOTE).unlink()
    with pytest.raises(WrongUse, match="a finished copy"):
        restore(altered, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_nothing_that_is_there_is_written_over(
    w: ConsoleWorld, copy: Path, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(WrongUse, match="not there yet, or empty"):
        restore(copy, data)
    with pytest.raises(WrongUse, match="not there yet, or empty"):
        backup(data, copy, w.clock)
    with pytest.raises(WrongUse, match="data folder with databases"):
        backup(tmp_path, tmp_path / "to", w.clock)
