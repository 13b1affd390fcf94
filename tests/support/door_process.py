"""A process that takes one batch at the door and says what was answered.

`python -m tests.support.door_process FOLDER FIRST LAST` sends the items numbered FIRST..LAST; with
HEARTHWATCH_CRASH it dies at a named point and says nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path

from services.intake.catalogue import load
from services.intake.handlers.accept import Door
from services.intake.storage import TABLES, SqlStore
from services.kernel.clock import SystemClock
from services.kernel.db.engine import Database
from tests.support.intake_world import item
from tests.support.keys import KEYRING


def main(folder: Path, first: int, last: int) -> None:
    """Take the batch and print one status per item."""
    db = Database(f"sqlite:///{folder / 'intake.db'}", TABLES)
    db.migrate("services.intake.migrations")
    door = Door(SqlStore(db), load(folder / "pack"), SystemClock(), KEYRING)
    answers = door.accept([item(str(n), time="2026-01-01T00:00:00Z") for n in range(first, last)])
    sys.stdout.write(" ".join(answer.status for answer in answers))
    db.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
