"""What a run outside this process stands on, kept in its folder so that it can be opened again.

`engines.json` holds the run's name on the engines, which engines they are, and the bus's address.
The database's address holds a password, so it stays in the environment.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from services.allinone.replay.target import Run, note, settings_for
from services.kernel import settings as kernel_settings
from services.kernel.errors import Fault, WrongUse
from services.kernel.settings import Settings

FILE: Final = "engines.json"
Bus = Literal["sqlite", "kafka"]
Db = Literal["sqlite", "postgres"]


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The engines of a run. name: what its topics, groups, schemas and roles begin with."""

    name: str
    bus: Bus
    db: Db
    bus_url: str


def begin(folder: Path, bus: Bus, db: Db, bus_url: str) -> Kept:
    """Return the engines of the run in this folder; the first time they are written down.

    Raises:
        WrongUse: the run was begun on other engines.
    """
    refuse_other(folder, bus, db)
    found = kept_of(folder)
    if found is None:
        found = Kept(name=f"r{secrets.token_hex(5)}", bus=bus, db=db, bus_url=bus_url)
        (folder / FILE).write_bytes(msgspec.json.encode(found))
    return found


def refuse_other(folder: Path, bus: Bus, db: Db) -> None:
    """Refuse to go on with a run on other engines than those it was begun on: its rows are there.

    Raises:
        WrongUse: they are others.
    """
    found = kept_of(folder)
    before = ("sqlite", "sqlite") if found is None else (found.bus, found.db)
    begun = found is not None or any(folder.glob("*.db"))
    if begun and before != (bus, db):
        raise WrongUse(
            Fault(
                where=str(folder),
                expected=f"--bus {before[0]} --db {before[1]}, which the run began with",
                found=f"--bus {bus} --db {db}",
                remedy="give the same ones, or replay into another folder",
                code="other_run",
            )
        )


def kept_of(folder: Path) -> Kept | None:
    """Return what a folder's run stands on; None when everything is in the folder itself.

    Raises:
        WrongUse: its engines.json cannot be read.
    """
    return note(folder / FILE, Kept, "the engines of a run")


def settings_of(
    folder: Path, run: Run, kept: Kept, environ: Mapping[str, str] | None = None
) -> Settings:
    """Return the settings that open a kept run where it stands.

    Args:
        folder: The run's folder.
        run: The run.
        kept: Its engines.
        environ: Names the addresses: HEARTHWATCH_DB_URL (an administrator's), and
            HEARTHWATCH_BUS_URL if the bus has moved.

    Raises:
        WrongUse: the database is not named.
    """
    given = kernel_settings.load(environ)
    db_url = given.db_url.get_secret_value()
    if kept.db == "postgres" and not db_url.startswith("postgresql"):
        raise WrongUse(
            Fault(
                where=str(folder),
                expected="HEARTHWATCH_DB_URL, for the run was kept on PostgreSQL",
                found="no address",
                remedy="set it to what the replay had; deploy/postgres up prints it",
                code="no_address",
            )
        )
    bus_url = given.bus_url if given.bus_url != "sqlite" else kept.bus_url
    return settings_for(
        folder,
        run,
        run=kept.name,
        bus_url=bus_url if kept.bus == "kafka" else "sqlite",
        db_url=db_url if kept.db == "postgres" else "sqlite",
    )
