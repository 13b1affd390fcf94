from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from deploy._lib import account
from deploy._lib.errors import DeployError
from deploy._lib.home import CONFIG, Home
from deploy._lib.postgres_server import Postgres


def postgres_settings(tmp_path: Path) -> dict[str, str]:
    home = Home("postgres", build=tmp_path)
    home.make(account.caller())
    target = home.path / "postgresql.conf"
    values = {"data_dir": "/d", "hba_file": "/h", "port": 18000}
    home.render("postgresql.conf", target, values)
    lines = target.read_text(encoding="utf-8").splitlines()
    pairs = [line.partition(" = ") for line in lines if line and not line.startswith("#")]
    return {key: value.strip("'") for key, _, value in pairs}


def test_what_postgresql_committed_is_on_disk(tmp_path: Path) -> None:
    settings = postgres_settings(tmp_path)
    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        assert settings[name] == "on"


def test_postgresql_listens_on_loopback_alone(tmp_path: Path) -> None:
    settings = postgres_settings(tmp_path)
    assert settings["listen_addresses"] == "127.0.0.1"
    assert settings["unix_socket_directories"] == ""
    assert settings["port"] == "18000"


def test_postgresql_trusts_nobody_without_a_password() -> None:
    lines = (CONFIG / "pg_hba.conf").read_text(encoding="utf-8").splitlines()
    rules = [line.split() for line in lines if line and not line.startswith("#")]
    assert rules
    assert {(rule[0], rule[3], rule[4]) for rule in rules} == {
        ("host", "127.0.0.1/32", "scram-sha-256")
    }


def test_a_lost_password_is_told_and_the_data_left_alone(tmp_path: Path) -> None:
    home = Home("postgres", build=tmp_path)
    (home.make(account.caller()) / "data").mkdir()
    with pytest.raises(DeployError, match=r"password is gone: put it back"):
        Postgres(home, {"port": 18000}).dsn()
    assert (home.path / "data").is_dir()


def test_prometheus_scrapes_itself_and_what_is_dropped_into_the_targets(tmp_path: Path) -> None:
    home = Home("prometheus", build=tmp_path)
    home.make(account.caller())
    target = home.path / "prometheus.yml"
    home.render("prometheus.yml", target, {"port": 18000, "targets_dir": tmp_path / "targets"})
    jobs = {job["job_name"]: job for job in yaml.safe_load(target.read_text())["scrape_configs"]}
    assert jobs["prometheus"]["static_configs"] == [{"targets": ["127.0.0.1:18000"]}]
    assert jobs["hearthwatch"]["file_sd_configs"][0]["files"] == [f"{tmp_path}/targets/*.json"]
