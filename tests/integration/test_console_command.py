"""`hearthwatch console`: users and tokens, beside a running process or without."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.allinone.cli import app
from services.console.manage import Registrar
from services.kernel.clock import VirtualClock
from services.kernel.errors import WrongUse
from tests.support.console_world import (
    HASHER,
    PASSWORD,
    START,
    console_db,
    console_world,
)


def command(*words: str | Path, stdin: str = "") -> tuple[int, str, BaseException | None]:
    found = CliRunner().invoke(app(), ["console", *map(str, words)], input=stdin)
    return found.exit_code, found.stdout, found.exception


def test_who_was_added_by_command_logs_in_and_is_kept_out(tmp_path: Path) -> None:
    with console_world(tmp_path) as w:
        data: list[str | Path] = ["--data", tmp_path / "data"]
        added = ["user", "add", "Wang", "--role", "duty", "--area", "V1", "--area", "V2"]
        code, _, _ = command(*added, "--password-stdin", *data, stdin=PASSWORD + "\n")
        assert code == 0
        (row,) = json.loads(command("user", "list", "--json", *data)[1])
        assert (row["name"], row["areas"], row["active"]) == ("wang", ["V1", "V2"], True)
        browser = w.logged_in("wang")
        assert command("user", "disable", "wang", *data)[0] == 0
        assert browser.get("/queue").status_code == 303
        assert w.browser().log_in("wang").status_code == 403
        assert command("user", "enable", "wang", *data)[0] == 0
        for _ in range(5):
            w.browser().log_in("wang", "wrong")
        assert w.browser().log_in("wang").status_code == 429
        assert command("user", "unlock", "wang", *data)[0] == 0
        assert w.browser().log_in("wang").status_code == 303
        found = command("token", "feed", "water", "--source", "m", "--type", "a.b", *data)
        assert found[1].startswith("hw_")
        (token,) = json.loads(command("token", "list", "--json", *data)[1])
        assert token["scope"] == {"source": "m", "types": ["a.b"]}
        assert "hw_" not in json.dumps(token)


def test_what_cannot_be_is_refused_with_what_could(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    db = console_db(tmp_path)
    db.migrate("services.console.migrations")
    registrar = Registrar(db, VirtualClock(START), HASHER)
    registrar.add_user("wang", "duty", ["*"], PASSWORD)
    try:
        for expected, wrong in (
            ("nobody has yet", lambda: registrar.add_user("WANG ", "duty", ["*"], PASSWORD)),
            ("small letters", lambda: registrar.add_user("wang li", "duty", ["*"], PASSWORD)),
            ("duty | worker", lambda: registrar.add_user("li", "boss", ["*"], PASSWORD)),
            ("codes of areas", lambda: registrar.add_user("li", "duty", [], PASSWORD)),
            ("10 characters", lambda: registrar.add_user("li", "duty", ["*"], "short")),
            ("name of a user", lambda: registrar.set_password("nobody", PASSWORD)),
            ("a source", lambda: registrar.add_feed("x", "", [], None)),
            ("intake | registry", lambda: registrar.add_reader("x", "console", ["/v1/a"], None)),
            ("/v1/alerts", lambda: registrar.add_reader("x", "alerts", ["/v1/../x"], None)),
            ("a token that holds", lambda: registrar.revoke("nobody")),
        ):
            with pytest.raises(WrongUse) as told:
                wrong()
            assert expected in told.value.fault.expected
        assert [user.name for user in registrar.users()] == ["wang"]
    finally:
        db.close()
