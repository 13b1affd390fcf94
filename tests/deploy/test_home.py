from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy._lib import account
from deploy._lib.account import Account
from deploy._lib.errors import DeployError
from deploy._lib.home import Home
from deploy._lib.waiting import require, wait_until


@dataclass(frozen=True)
class FakeOutsider(Account):
    """An account that cannot reach into the checkout."""

    def can_enter(self, directory: Path) -> bool:
        return False


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home("kafka", build=tmp_path / "build")
    made.make(account.caller())
    return made


def test_what_is_remembered_comes_back(home: Home) -> None:
    assert home.load() == {}
    home.save({"port": 18000})
    assert home.load() == {"port": 18000}
    assert Home("kafka", build=home.build).load() == {"port": 18000}


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_a_broken_memory_is_refused_with_its_place_and_the_remedy(home: Home, text: str) -> None:
    (home.path / "state.json").write_text(text, encoding="latin-1")
    with pytest.raises(DeployError, match=r"state\.json .*`down --wipe`"):
        home.load()


def test_instances_live_beside_each_other(tmp_path: Path) -> None:
    first, second = Home("kafka", build=tmp_path), Home("kafka", "second", build=tmp_path)
    assert (first.path.name, second.path.name) == ("kafka", "kafka-second")


def test_wiping_takes_data_and_memory_and_leaves_what_was_fetched(home: Home) -> None:
    for name in ("libs", "node-1", "node-2"):
        (home.path / name).mkdir()
    home.save({"port": 18000})
    home.wipe("node-*")
    assert sorted(path.name for path in home.path.iterdir()) == ["libs"]


def test_a_second_command_waits_for_the_first_and_says_so(home: Home) -> None:
    refused = pytest.raises(DeployError, match="another command works on kafka")
    with home.lock(1), refused, home.lock(0):
        pass
    with home.lock(0):
        pass


def test_locks_of_different_names_do_not_meet(home: Home) -> None:
    with home.lock(0), home.lock(0, "fetch.lock"):
        pass


def test_data_goes_elsewhere_when_the_account_cannot_reach_the_checkout(tmp_path: Path) -> None:
    caller = account.caller()
    outsider = FakeOutsider(caller.name, caller.uid, caller.gid, switch=False)
    home = Home("postgres", build=tmp_path)
    elsewhere = home.make(outsider)
    try:
        assert not elsewhere.is_relative_to(tmp_path)
        assert elsewhere.stat().st_mode & 0o777 == 0o755
        assert (tmp_path / "postgres").resolve() == elsewhere
        assert home.make(outsider) == elsewhere
    finally:
        shutil.rmtree(elsewhere)
    again = home.make(outsider)  # the temporary folder was cleaned away
    assert again != elsewhere
    assert again.is_dir()
    shutil.rmtree(again)


def test_a_template_with_a_value_missing_is_not_written(home: Home) -> None:
    with pytest.raises(KeyError):
        home.render("prometheus.yml", home.path / "prometheus.yml", {"port": 1})
    assert not (home.path / "prometheus.yml").exists()


def test_waiting_asks_once_even_without_time_and_gives_the_last_reason() -> None:
    asked: list[int] = []

    def missing() -> str | None:
        asked.append(1)
        return "one leg"

    assert wait_until(missing, 0) == "one leg"
    assert asked == [1]
    with pytest.raises(DeployError, match=r"the table was to stand within 0 s: one leg"):
        require(missing, 0, "the table was to stand")


def test_waiting_ends_as_soon_as_nothing_is_missing() -> None:
    reasons = iter(["this", "that", None])
    assert wait_until(lambda: next(reasons), 60) is None


def test_a_server_gets_nothing_of_the_callers_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_TOKEN", "secret")
    environment = account.server_environment(tmp_path, {"LD_LIBRARY_PATH": "x"})
    assert set(environment) == {"PATH", "HOME", "LANG", "LD_LIBRARY_PATH"}


def test_servers_never_run_as_root() -> None:
    chosen = account.unprivileged()
    assert chosen.uid != 0
    assert chosen.switch == (os.geteuid() == 0)
