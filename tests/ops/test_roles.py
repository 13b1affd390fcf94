from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import ProgrammingError

from services.kernel.db.roles import SERVICES, main


def url_of(folder: Path, service: str) -> str:
    return (folder / f"{service}.url").read_text("utf-8").strip()


@pytest.mark.connected
def test_roles_are_written_to_files_and_keep_their_passwords(
    server_address: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HEARTHWATCH_DB_URL", server_address("postgres"))
    out = tmp_path / "roles"
    assert main(["--out", str(out)]) == 0
    assert capsys.readouterr().out == "".join(f"{name} {name}.url\n" for name in SERVICES)
    first = {name: url_of(out, name) for name in SERVICES}
    assert {path.stat().st_mode & 0o777 for path in out.iterdir()} == {0o600}
    (out / "risk.url").write_text("broken\n", "utf-8")
    assert main(["--out", str(out)]) == 0
    again = {name: url_of(out, name) for name in SERVICES}
    assert {name for name in SERVICES if first[name] != again[name]} == {"risk"}
    engine = create_engine(make_url(again["alerts"]).set(drivername="postgresql+psycopg"))
    with engine.connect() as conn:
        assert conn.scalar(text("SELECT current_user")) == "hearthwatch_alerts"
        with pytest.raises(ProgrammingError, match="permission denied"):
            conn.execute(text("CREATE TABLE risk.mine (id integer)"))
    engine.dispose()


def test_without_a_server_it_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HEARTHWATCH_DB_URL", raising=False)
    assert main([]) == 2
    assert "HEARTHWATCH_DB_URL" in capsys.readouterr().err
