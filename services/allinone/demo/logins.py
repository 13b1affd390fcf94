"""Log-ins of the demo: made-up staff with one password that is printed; loopback only."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from services.allinone.town.book import village_code
from services.console.access import EVERYWHERE
from services.console.storage import users
from services.console.storage.tables import TABLES
from services.kernel.clock import SystemClock
from services.kernel.db.engine import Database

PASSWORD: Final = "hearthwatch-demo"  # noqa: S105 - printed with the address; nobody's secret


class Login(NamedTuple):
    """Somebody who may log in to the demo's console."""

    name: str
    role: str
    areas: tuple[str, ...]
    staff: str
    display: str


LOGINS: Final = (
    Login("duty", "duty", (EVERYWHERE,), "syn-staff-1", "测试-值班甲"),
    Login("second", "duty", (EVERYWHERE,), "syn-staff-3", "测试-备班甲"),
    Login("worker", "worker", (village_code(0),), "syn-staff-g1-1", "测试-1村网格员"),
    Login("head", "head", (EVERYWHERE,), "syn-staff-5", "测试-站长"),
    Login("ops", "ops", (EVERYWHERE,), "syn-staff-9", "测试-运维"),
)


def add_logins(folder: Path, language: str) -> None:
    """Enter the log-ins into the console's database of a data folder that no process has open."""
    db = Database(f"sqlite:///{folder / 'console.db'}", TABLES, service="console")
    try:
        db.migrate("services.console.migrations")
        password = PasswordHash((Argon2Hasher(),)).hash(PASSWORD)
        with db.begin() as conn:
            for login in LOGINS:
                users.add(
                    conn,
                    users.User(
                        **login._asdict(),
                        password=password,
                        active=True,
                        language=language,
                        sound=False,
                        created_at=SystemClock().now(),
                    ),
                )
    finally:
        db.close()
