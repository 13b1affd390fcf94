"""Alembic for every service: revisions lie in `services/<x>/migrations/versions`, the rest is here.

Each service's revisions run in one transaction, so a failed upgrade leaves the old tables. Write a
new revision with `python -m services.kernel.db.revision` (see there).
"""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import alembic.autogenerate
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text

from services.kernel.errors import Fault, WrongUse


class Migrated(Protocol):
    """What is needed of a `Database`; its module imports this one, not the other way."""

    metadata: MetaData
    schema: str | None
    service: str

    def begin(self) -> AbstractContextManager[Connection]:
        """Open a write transaction."""
        ...

    def read(self) -> AbstractContextManager[Connection]:
        """Open a snapshot."""
        ...

    def lock(self, conn: Connection, name: str, *, shared: bool) -> None:
        """Keep others out until the transaction ends."""
        ...


def script_directory(scripts: str) -> ScriptDirectory:
    """Return the revisions of the package `scripts` (such as `services.risk.migrations`)."""
    package = importlib.import_module(scripts)
    folder = Path(next(iter(package.__path__)))
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def upgrade(db: Migrated, scripts: str) -> None:
    """Bring the tables of `db` to the newest revision; quick when they are there already.

    Raises:
        WrongUse: the database is at a revision that this version does not have.
    """
    script = script_directory(scripts)
    with db.begin() as conn:
        db.lock(conn, "migrate", shared=False)
        if db.schema:
            _ensure_schema(conn, db.schema)
        present = MigrationContext.configure(conn).get_current_heads()
        _refuse_newer(db.service, present, script)
        if present == tuple(script.get_heads()):
            return
        with EnvironmentContext(
            Config(), script, fn=lambda revision, _: script._upgrade_revs("head", revision)  # noqa: SLF001
        ) as env:  # fmt: skip
            env.configure(connection=conn, target_metadata=db.metadata, **options(conn))
            env.run_migrations()


def differences(db: Migrated) -> list[Any]:
    """Return how the tables in the database differ from the metadata; empty when they agree."""
    with db.read() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True, **options(conn)})
        return list(alembic.autogenerate.compare_metadata(context, db.metadata))


def options(conn: Connection) -> dict[str, Any]:
    """Return the Alembic options that all services share."""
    return {"render_as_batch": conn.dialect.name == "sqlite"}


def _ensure_schema(conn: Connection, schema: str) -> None:
    # A deployed role owns its schema and may not create one: ask before creating.
    found = conn.scalar(
        text("SELECT 1 FROM information_schema.schemata WHERE schema_name = :name"),
        {"name": schema},
    )
    if not found:
        conn.exec_driver_sql(f'CREATE SCHEMA "{schema}"')


def _refuse_newer(service: str, present: tuple[str, ...], script: ScriptDirectory) -> None:
    known = {revision.revision for revision in script.walk_revisions()}
    unknown = set(present) - known
    if unknown:
        raise WrongUse(
            Fault(
                where=f"database of {service}",
                found=f"revision {', '.join(sorted(unknown))}",
                expected=f"one up to {script.get_current_head()}, which this version knows",
                remedy="start the newer version again, or restore a backup of the older one",
                code="newer_database",
            )
        )
