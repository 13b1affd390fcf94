"""`hearthwatch console user|token`: who may log in, and which programs may do what."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.allinone.console import show, show_json, tell
from services.allinone.words import say
from services.kernel.errors import Fault, WrongUse

if TYPE_CHECKING:
    from services.console.manage import Registrar

Data = Annotated[Path | None, typer.Option("--data", metavar="DIR", help=say("console.data"))]
Name = Annotated[str, typer.Argument(metavar="NAME")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help=say("console.stdin"))]
Days = Annotated[int | None, typer.Option("--days", min=1, help=say("console.days"))]
AsJson = Annotated[bool, typer.Option("--json", help=say("option.json"))]


def add(app: typer.Typer) -> None:
    """Put the subcommands into the command."""
    console = typer.Typer(help=say("help.console"), no_args_is_help=True)
    user = typer.Typer(help=say("help.console.user"), no_args_is_help=True)
    user.command("add", help=say("help.console.user.add"))(_add_user)
    user.command("list", help=say("help.console.user.list"))(_users)
    user.command("password", help=say("help.console.user.password"))(_password)
    user.command("unlock", help=say("help.console.user.unlock"))(_unlock)
    user.command("disable", help=say("help.console.user.disable"))(_disable)
    user.command("enable", help=say("help.console.user.enable"))(_enable)
    token = typer.Typer(help=say("help.console.token"), no_args_is_help=True)
    token.command("feed", help=say("help.console.token.feed"))(_feed)
    token.command("reader", help=say("help.console.token.reader"))(_reader)
    token.command("list", help=say("help.console.token.list"))(_tokens)
    token.command("revoke", help=say("help.console.token.revoke"))(_revoke)
    console.add_typer(user, name="user")
    console.add_typer(token, name="token")
    app.add_typer(console, name="console")


def _add_user(
    name: Name,
    role: Annotated[str, typer.Option("--role", help=say("console.role"))],
    area: Annotated[list[str], typer.Option("--area", help=say("console.area"))],
    staff: Annotated[str, typer.Option("--staff", help=say("console.staff"))] = "",
    display: Annotated[str, typer.Option("--display", help=say("console.display"))] = "",
    language: Annotated[str, typer.Option("--language", help="zh | en")] = "zh",
    from_stdin: FromStdin = False,  # noqa: FBT002 - an option
    data: Data = None,
) -> None:
    with _registrar(data) as registrar:
        registrar.add_user(
            name, role, area, _read(from_stdin), staff=staff, display=display, language=language
        )
    tell(say("console.user_added", name=name))


def _users(data: Data = None, as_json: AsJson = False) -> None:  # noqa: FBT002 - an option
    with _registrar(data) as registrar:
        found = registrar.users()
    rows = [
        {"name": u.name, "role": u.role, "areas": list(u.areas), "staff": u.staff,
         "display": u.display, "active": u.active}
        for u in found
    ]  # fmt: skip
    if as_json:
        show_json(rows)
        return
    for user in found:
        shut = "" if user.active else say("console.disabled")
        show(f"{user.name}\t{user.role}\t{' '.join(user.areas)}\t{user.display}\t{shut}")


def _password(name: Name, from_stdin: FromStdin = False, data: Data = None) -> None:  # noqa: FBT002
    with _registrar(data) as registrar:
        registrar.set_password(name, _read(from_stdin))
    tell(say("console.done", name=name))


def _unlock(name: Name, data: Data = None) -> None:
    with _registrar(data) as registrar:
        registrar.unlock(name)
    tell(say("console.done", name=name))


def _disable(name: Name, data: Data = None) -> None:
    with _registrar(data) as registrar:
        registrar.set_active(name, active=False)
    tell(say("console.done", name=name))


def _enable(name: Name, data: Data = None) -> None:
    with _registrar(data) as registrar:
        registrar.set_active(name, active=True)
    tell(say("console.done", name=name))


def _feed(
    name: Name,
    source: Annotated[str, typer.Option("--source", help=say("console.source"))],
    type_: Annotated[list[str], typer.Option("--type", help=say("console.type"))],
    days: Days = None,
    data: Data = None,
) -> None:
    with _registrar(data) as registrar:
        show(registrar.add_feed(name, source, type_, days))


def _reader(
    name: Name,
    service: Annotated[str, typer.Option("--service", help=say("console.service"))],
    path: Annotated[list[str], typer.Option("--path", help=say("console.path"))],
    days: Days = None,
    data: Data = None,
) -> None:
    with _registrar(data) as registrar:
        show(registrar.add_reader(name, service, path, days))


def _tokens(data: Data = None, as_json: AsJson = False) -> None:  # noqa: FBT002 - an option
    from services.kernel.clock import rfc3339

    with _registrar(data) as registrar:
        found = registrar.tokens()
    rows = [
        {"name": t.name, "kind": t.kind, "scope": dict(t.scope),
         "expires_at": None if t.expires_at is None else rfc3339(t.expires_at),
         "revoked_at": None if t.revoked_at is None else rfc3339(t.revoked_at)}
        for t in found
    ]  # fmt: skip
    if as_json:
        show_json(rows)
        return
    for row in rows:
        ended = say("console.revoked") if row["revoked_at"] else row["expires_at"] or ""
        show(f"{row['name']}\t{row['kind']}\t{row['scope']}\t{ended}")


def _revoke(name: Name, data: Data = None) -> None:
    with _registrar(data) as registrar:
        registrar.revoke(name)
    tell(say("console.done", name=name))


@contextmanager
def _registrar(data: Path | None) -> Iterator[Registrar]:
    """Open the console's own database; a running process may have it open, too."""
    from services.console.manage import Registrar, open_database
    from services.kernel import settings as kernel_settings
    from services.kernel.clock import SystemClock

    given: dict[str, object] = {} if data is None else {"data_dir": data}
    db = open_database(kernel_settings.load(None, **given))
    try:
        yield Registrar(db, SystemClock())
    finally:
        db.close()


def _read(from_stdin: bool) -> str:  # noqa: FBT001 - from an option
    """Return a password: a line of stdin, or typed twice on a terminal."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    if not sys.stdin.isatty():
        raise WrongUse(
            Fault("password", "a terminal, or --password-stdin", "neither", say("console.pipe"))
        )
    found: str = typer.prompt(say("console.password"), hide_input=True, confirmation_prompt=True)
    return found
