"""Write the next revision of a service from what its metadata has and its migrations lack.

    python -m services.kernel.db.revision services.risk.migrations services.risk.storage:TABLES "X"

Read the file whose name it prints before committing it: Alembic sees tables, columns, indexes and
constraints, never a renaming or the data. `ruff format` makes it pretty.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path
from typing import Final, Literal

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import CreateTableOp, MigrateOperation, ModifyTableOps, UpgradeOps
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData

from services.kernel.db import types
from services.kernel.db.engine import Database
from services.kernel.db.migrate import options, script_directory, upgrade

_TEMPLATE: Final = '''"""{message}."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.kernel.db import history, types

revision = "{revision}"
down_revision = {down!r}


def upgrade() -> None:
{kernel}    {body}
'''
_KERNEL: Final = {
    "outbox": "history.outbox_1()",
    "position": "history.position_1()",
    "inbox": "history.inbox_1()",
    "idempotency": "history.idempotency_1()",
}


def write_revision(scripts: str, metadata: MetaData, message: str) -> Path | None:
    """Write the revision that brings the tables to `metadata`; return its file, or None."""
    script = script_directory(scripts)
    with tempfile.TemporaryDirectory() as folder:
        db = Database(f"sqlite:///{folder}/draft.db", metadata)
        upgrade(db, scripts)
        with db.read() as conn:
            context = MigrationContext.configure(conn, opts={"compare_type": True, **options(conn)})
            found = produce_migrations(context, metadata).upgrade_ops or UpgradeOps()
        db.close()
    if found.is_empty():
        return None
    made = {each.table_name for each in found.ops if isinstance(each, CreateTableOp)}
    kernel = "".join(f"    {call}\n" for name, call in _KERNEL.items() if name in made)
    found.ops = [each for each in found.ops if _table(each) not in made & set(_KERNEL)]
    body = render_python_code(
        found, render_as_batch=True, render_item=_short, migration_context=context
    )
    number = f"{len(list(script.walk_revisions())) + 1:04d}"
    path = Path(script.dir) / "versions" / f"{number}_{'_'.join(message.lower().split())}.py"
    path.parent.mkdir(exist_ok=True)
    head = script.get_current_head()
    path.write_text(
        _TEMPLATE.format(message=message, revision=number, down=head, kernel=kernel, body=body),
        encoding="utf-8",
    )
    return path


def _table(operation: MigrateOperation) -> str | None:
    if isinstance(operation, CreateTableOp | ModifyTableOps):
        return operation.table_name
    return None


def _short(kind: str, item: object, _: AutogenContext) -> str | Literal[False]:
    if kind == "type":
        if type(item).__module__ == types.__name__:
            return f"types.{type(item).__name__}()"
        for name in ("Json", "Serial"):
            if item is getattr(types, name):
                return f"types.{name}"
    return False


def main(arguments: list[str]) -> int:
    """Run the command line; 2 for wrong use."""
    if len(arguments) != 3:  # noqa: PLR2004 - scripts, metadata, message
        sys.stderr.write(f"{__doc__}\n")
        return 2
    scripts, where, message = arguments
    module, _, name = where.partition(":")
    metadata = getattr(importlib.import_module(module), name)
    path = write_revision(scripts, metadata, message)
    if path is None:
        sys.stderr.write(f"{scripts}: the newest revision already makes every table of {where}\n")
        return 1
    sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
