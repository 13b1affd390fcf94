from __future__ import annotations

import stat
from pathlib import Path

import pytest

from services.kernel.errors import Faults, WrongUse
from services.kernel.settings import Settings, ensure_token, load


def test_nothing_set_is_an_embedded_installation_on_loopback() -> None:
    settings = load({})
    assert settings.mode == "embedded"
    assert settings.http_host == "127.0.0.1"
    assert settings.partitions == 8


def test_the_environment_is_read_and_what_is_given_goes_before_it() -> None:
    environ = {"HEARTHWATCH_PARTITIONS": "3", "HEARTHWATCH_HTTP_PORT": "0", "PATH": "/bin"}
    settings = load(environ, http_port=17)
    assert (settings.partitions, settings.http_port) == (3, 17)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("HEARTHWATCH_MODE", "both", "embedded .* or deployed"),
        ("HEARTHWATCH_PARTITIONS", "0", "from 1 to 512"),
        ("HEARTHWATCH_PARTITIONS", "eight", "from 1 to 512"),
        ("HEARTHWATCH_HTTP_PORT", "70000", "from 0 to 65535"),
        ("HEARTHWATCH_BUS_URL", "amqp://somewhere", "sqlite or kafka://host:port"),
        ("HEARTHWATCH_DB_URL", "mysql://user:hunter2@h/x", "sqlite or postgresql://"),
        ("HEARTHWATCH_TOKEN", "hunter2", "16 characters or more"),
        ("HEARTHWATCH_MARK_EVERY_S", "0", "above 0 and at most 60"),
        ("HEARTHWATCH_WEBHOOK_URL", "ftp://x", r"an http\(s\) address"),
        ("HEARTHWATCH_LOG_FORM", "xml", "json or console"),
    ],
)
def test_a_wrong_setting_is_told_by_its_variable_without_its_value(
    variable: str, value: str, expected: str
) -> None:
    with pytest.raises(WrongUse, match=f"{variable}: found text of length .*{expected}") as caught:
        load({variable: value})
    assert value not in caught.value.fault.found
    assert "hunter2" not in str(caught.value)


def test_several_wrong_settings_are_all_told() -> None:
    with pytest.raises(Faults) as caught:
        load({"HEARTHWATCH_MODE": "x", "HEARTHWATCH_PARTITIONS": "x"})
    assert [fault.where for fault in caught.value.faults] == [
        "HEARTHWATCH_MODE",
        "HEARTHWATCH_PARTITIONS",
    ]


def test_a_misspelt_variable_is_refused_and_a_strange_one_is_not() -> None:
    with pytest.raises(WrongUse, match="did you mean HEARTHWATCH_PARTITIONS"):
        load({"HEARTHWATCH_PARTITION": "3"})
    load({"HEARTHWATCH_CRASH": "", "HEARTHWATCH_DATA": "x", "HEARTHWATCH_TEST_POSTGRES": "x"})


def test_a_secret_can_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0123456789abcdef\n", "utf-8")
    settings = load({"HEARTHWATCH_TOKEN_FILE": str(tmp_path / "token")})
    assert settings.token.get_secret_value() == "0123456789abcdef"
    assert "0123456789abcdef" not in repr(settings)


def test_a_secret_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match=r"HEARTHWATCH_TOKEN_FILE: found .*FileNotFoundError"):
        load({"HEARTHWATCH_TOKEN_FILE": str(tmp_path / "none")})


def test_a_deployed_process_needs_a_token_and_a_shared_bus() -> None:
    with pytest.raises(Faults) as caught:
        load({"HEARTHWATCH_MODE": "deployed"})
    assert {fault.where for fault in caught.value.faults} == {
        "HEARTHWATCH_TOKEN",
        "HEARTHWATCH_BUS_URL",
    }
    load(
        {
            "HEARTHWATCH_MODE": "deployed",
            "HEARTHWATCH_TOKEN": "0123456789abcdef",
            "HEARTHWATCH_BUS_URL": "kafka://broker:9092",
        }
    )


def test_each_service_has_its_own_sqlite_file_and_one_postgres_url(tmp_path: Path) -> None:
    assert load({}, data_dir=tmp_path).database_url("risk") == f"sqlite:///{tmp_path}/risk.db"
    url = "postgresql://u@h/d"
    assert load({"HEARTHWATCH_DB_URL": url}).database_url("risk") == url


def test_addresses_of_other_services_lose_their_last_slash() -> None:
    settings = load({"HEARTHWATCH_RISK_URL": "http://risk:8600/"})
    assert settings.service_urls() == {"risk": "http://risk:8600"}


class TestToken:
    def test_one_is_made_for_its_owner_alone_and_kept(self, tmp_path: Path) -> None:
        settings = load({}, data_dir=tmp_path / "data")
        token = ensure_token(settings)
        path = tmp_path / "data" / "token"
        assert len(token) >= 32
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert ensure_token(settings) == token

    def test_rights_that_were_widened_are_narrowed_again(self, tmp_path: Path) -> None:
        settings = load({}, data_dir=tmp_path)
        token = ensure_token(settings)
        (tmp_path / "token").chmod(0o644)
        assert ensure_token(settings) == token
        assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600

    def test_an_empty_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "token").touch()
        with pytest.raises(WrongUse, match="remove the file"):
            ensure_token(load({}, data_dir=tmp_path))

    def test_a_given_token_leaves_no_file(self, tmp_path: Path) -> None:
        settings = load({}, data_dir=tmp_path, token="0123456789abcdef")
        assert ensure_token(settings) == "0123456789abcdef"
        assert not (tmp_path / "token").exists()


def test_every_setting_says_what_is_expected() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
