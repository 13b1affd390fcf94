from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Index, Integer, MetaData, String, Table, inspect

from services.kernel.db import revision
from services.kernel.db.engine import Database
from services.kernel.db.migrate import differences
from services.kernel.db.outbox import Outbox
from services.kernel.db.positions import Inbox, Keys, Positions
from services.kernel.db.types import Blob, Instant, Json, Serial
from services.kernel.errors import WrongUse
from tests.support.stores import assert_migrations_make

FAILING = """
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table("half", sa.Column("id", sa.Integer, primary_key=True))
    raise RuntimeError("broken")
"""


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty package of revisions, importable under the name given."""
    name = f"migrations_{uuid.uuid4().hex}"
    (tmp_path / name / "versions").mkdir(parents=True)
    (tmp_path / name / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


def tables() -> MetaData:
    metadata = MetaData()
    for kind in (Outbox, Positions, Inbox, Keys):
        kind(metadata)
    Table(
        "thing",
        metadata,
        Column("id", Serial, primary_key=True),
        Column("at", Instant, nullable=False, index=True),
        Column("tree", Json),
        Column("raw", Blob),
    )
    return metadata


def database(folder: Path, metadata: MetaData) -> Database:
    return Database(f"sqlite:///{folder}/risk.db", metadata)


def test_a_written_revision_makes_exactly_the_tables(scripts: str, tmp_path: Path) -> None:
    path = revision.write_revision(scripts, tables(), "First tables")
    assert path is not None
    assert path.name == "0001_first_tables.py"
    content = path.read_text("utf-8")
    for call in ("outbox_1", "position_1", "inbox_1", "idempotency_1"):
        assert f"history.{call}()" in content
    assert "sa.LargeBinary" not in content
    assert_migrations_make(tables(), scripts, tmp_path)


def test_a_second_upgrade_changes_nothing(scripts: str, tmp_path: Path) -> None:
    revision.write_revision(scripts, tables(), "First")
    db = database(tmp_path, tables())
    db.migrate(scripts)
    with db.begin() as conn:
        conn.exec_driver_sql("INSERT INTO thing (at) VALUES (1)")
    db.migrate(scripts)
    with db.read() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM thing").scalar() == 1
    db.close()


def test_the_next_revision_holds_what_is_new_and_then_nothing_is(
    scripts: str, tmp_path: Path
) -> None:
    revision.write_revision(scripts, tables(), "First")
    metadata = tables()
    metadata.tables["thing"].append_column(Column("word", String))
    Index("ix_word", metadata.tables["thing"].c.word)
    path = revision.write_revision(scripts, metadata, "Add word")
    assert path is not None
    assert 'down_revision = "0001"' in path.read_text("utf-8").replace("'", '"')
    assert_migrations_make(metadata, scripts, tmp_path)
    assert revision.write_revision(scripts, metadata, "Nothing") is None


@pytest.mark.parametrize("drift", ["column", "table", "index"])
def test_a_table_that_no_revision_makes_is_noticed(
    scripts: str, tmp_path: Path, drift: str
) -> None:
    revision.write_revision(scripts, tables(), "First")
    metadata = tables()
    if drift == "column":
        metadata.tables["thing"].append_column(Column("word", String))
    elif drift == "table":
        Table("forgotten", metadata, Column("id", Integer, primary_key=True))
    else:
        Index("ix_forgotten", metadata.tables["thing"].c.raw)
    db = database(tmp_path, metadata)
    db.migrate(scripts)
    assert differences(db)
    db.close()
    with pytest.raises(AssertionError, match="revision"):
        assert_migrations_make(metadata, scripts, tmp_path)


def test_a_revision_that_fails_leaves_the_database_as_it_was(scripts: str, tmp_path: Path) -> None:
    path = revision.write_revision(scripts, tables(), "First")
    assert path is not None
    db = database(tmp_path, tables())
    db.migrate(scripts)
    path.with_name("0002_failing.py").write_text(FAILING, "utf-8")
    with pytest.raises(RuntimeError, match="broken"):
        db.migrate(scripts)
    with db.read() as conn:
        assert "half" not in inspect(conn).get_table_names()
        assert conn.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == "0001"
    db.close()


def test_a_database_of_a_newer_version_is_refused(scripts: str, tmp_path: Path) -> None:
    revision.write_revision(scripts, tables(), "First")
    db = database(tmp_path, tables())
    db.migrate(scripts)
    with db.begin() as conn:
        conn.exec_driver_sql("UPDATE alembic_version SET version_num='0009'")
    with pytest.raises(WrongUse, match=r"database of risk: found revision 0009, expected .* 0001"):
        db.migrate(scripts)
    db.close()


def test_the_command_writes_a_revision_and_says_where(
    scripts: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "tables_of_a_test.py").write_text(
        "from sqlalchemy import MetaData\n"
        "from services.kernel.db.outbox import Outbox\n"
        "TABLES = MetaData()\n"
        "Outbox(TABLES)\n",
        "utf-8",
    )
    arguments = [scripts, "tables_of_a_test:TABLES", "First"]
    assert revision.main(arguments) == 0
    assert capsys.readouterr().out.strip().endswith("0001_first.py")
    assert revision.main(arguments) == 1
    assert "already makes every table" in capsys.readouterr().err
    assert revision.main([]) == 2
    sys.modules.pop("tables_of_a_test")
