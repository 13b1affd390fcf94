"""A schema and a role per service on PostgreSQL: a service can read and write its own rows only.

`python -m services.kernel.db.roles` makes them from HEARTHWATCH_DB_URL, an administrator's URL, and
prints each service's own URL with a password made for it; run again, it gives new passwords. With
`--out DIR` each URL goes to a file `DIR/<service>.url` instead, for HEARTHWATCH_DB_URL_FILE; run
again, the passwords in these files stay.
"""

from __future__ import annotations

import argparse
import re
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, OperationalError

from services.kernel.db.faults import not_let_in, refusal
from services.kernel.errors import Fault, HearthwatchError, Retryable, WrongUse
from services.kernel.settings import load

SERVICES: Final = ("intake", "registry", "risk", "alerts", "dead", "console")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,40}")
_PASSWORD: Final = re.compile(r"[A-Za-z0-9_-]{24,64}")


def provision(
    admin_url: str,
    services: Sequence[str] = SERVICES,
    run: str = "",
    passwords: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Make a role and a schema that it owns for each service; return each role's URL.

    Args:
        admin_url: PostgreSQL, of somebody who may create roles.
        services: Names of the services.
        run: Name that sets apart the schemas and roles of a replay.
        passwords: Those to keep, by service; the others get new ones.

    Raises:
        WrongUse: no PostgreSQL URL, or a name that cannot be one. Retryable: out of reach.
    """
    urls = {}
    with _administrator(admin_url) as conn:
        for service in services:
            name = schema_of(service, run)
            password = (passwords or {}).get(service) or secrets.token_urlsafe(24)
            role = f"hearthwatch_{name}"
            known = conn.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :r"), {"r": role})
            verb = "ALTER" if known else "CREATE"
            conn.execute(text(f"{verb} ROLE \"{role}\" LOGIN PASSWORD '{password}'"))
            conn.execute(text(f'GRANT "{role}" TO CURRENT_USER'))
            conn.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{name}" AUTHORIZATION "{role}"'))
            conn.execute(text(f'REVOKE ALL ON SCHEMA "{name}" FROM PUBLIC'))
            own = make_url(admin_url).set(username=role, password=password)
            urls[service] = own.render_as_string(hide_password=False)
    return urls


def provision_into(admin_url: str, out: Path) -> dict[str, str]:
    """Make the live schemas and roles, each role's URL in a file of its own in the folder `out`.

    Done again, the passwords in these files stay, so that processes elsewhere stay connected.

    Raises:
        OSError: the folder cannot be written. Others as `provision`.
    """
    urls = provision(admin_url, passwords=_kept(out))
    _write(out, urls)
    return urls


def remove(admin_url: str, services: Sequence[str] = SERVICES, run: str = "") -> None:
    """Drop the schemas and roles of a replay's run; never those of a live one.

    Raises:
        WrongUse: no run is named. Retryable: the server is out of reach.
    """
    if not run:
        raise WrongUse(
            Fault("run", "the name of a replay's run", "nothing", "drop a live schema by hand")
        )
    with _administrator(admin_url) as conn:
        for service in services:
            name = schema_of(service, run)
            conn.execute(text(f'DROP SCHEMA IF EXISTS "{name}" CASCADE'))
            conn.execute(text(f'DROP ROLE IF EXISTS "hearthwatch_{name}"'))


def schema_of(service: str, run: str = "") -> str:
    """Return the name of a service's schema."""
    name = f"{run}_{service}" if run else service
    if not _NAME.fullmatch(name):
        raise WrongUse(
            Fault("schema", "small letters, digits and _, 41 at most", repr(name), "rename it")
        )
    return name


@contextmanager
def _administrator(url: str) -> Iterator[Connection]:
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.get_backend_name() != "postgresql":
        raise WrongUse(
            Fault(
                where="HEARTHWATCH_DB_URL",
                expected="postgresql://user:password@host:port/name, of one who may create roles",
                found="another text",
                remedy="set it; deploy/postgres up prints one",
            )
        )
    engine = create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        connect_args={"connect_timeout": 3},
        hide_parameters=True,
    )
    try:
        with engine.begin() as conn:
            yield conn
    except OperationalError as exc:
        if (reason := refusal(exc)) is not None:
            raise WrongUse(not_let_in(reason)) from exc
        raise Retryable(
            "PostgreSQL: OperationalError; expected a server that lets the administrator in; "
            "start it, or correct HEARTHWATCH_DB_URL"
        ) from exc
    finally:
        engine.dispose()


def main(arguments: Sequence[str] | None = None) -> int:
    """Provision the live schemas; print or write each service's URL."""
    parser = argparse.ArgumentParser(
        prog="python -m services.kernel.db.roles",
        description="Make a schema and a role per service from HEARTHWATCH_DB_URL.",
        epilog="example: python -m services.kernel.db.roles --out /run/hearthwatch",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write DIR/<service>.url")
    out: Path | None = parser.parse_args(arguments).out
    try:
        url = load().db_url.get_secret_value()
        urls = provision(url) if out is None else provision_into(url, out)
    except (HearthwatchError, OSError) as exc:
        told = str(exc) if isinstance(exc, HearthwatchError) else f"--out: {exc.strerror}"
        sys.stderr.write(f"{told}\n")
        return 1 if isinstance(exc, Retryable) else 2
    for service, own in urls.items():
        where = f"{service} HEARTHWATCH_DB_URL={own}" if out is None else f"{service} {service}.url"
        sys.stdout.write(f"{where}\n")
    return 0


def _kept(out: Path) -> dict[str, str]:
    """Return the passwords of an earlier run; a file that holds no URL gets a new one."""
    found = {}
    for service in SERVICES:
        try:
            password = make_url((out / f"{service}.url").read_text("utf-8").strip()).password
        except (FileNotFoundError, ArgumentError):
            continue
        if password and _PASSWORD.fullmatch(password):
            found[service] = password
    return found


def _write(out: Path, urls: Mapping[str, str]) -> None:
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    for service, url in urls.items():
        part = out / f"{service}.part"
        part.touch(0o600)
        part.write_text(url + "\n", "utf-8")
        part.replace(out / f"{service}.url")


if __name__ == "__main__":
    sys.exit(main())
