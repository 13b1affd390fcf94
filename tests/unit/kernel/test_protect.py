"""The keyring: what it closes opens again with its key, as the same field, and in no other way."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from services.kernel import protect
from services.kernel.contracts.protected import is_sealed
from services.kernel.errors import WrongUse
from services.kernel.protect import Keyring, Unreadable, add_key, ensure_text, keyring_of, load
from services.kernel.settings import load as settings
from tests.support.keys import KEYRING, OTHER, ROTATED, TEXT, line

FIELD: Final = ("registry.person", "phone")
NUMBER: Final = b"000-1234-5678"


@given(st.binary(max_size=200), st.lists(st.text(max_size=20), max_size=3))
def test_what_was_closed_opens_again(clear: bytes, about: list[str]) -> None:
    sealed = KEYRING.seal(clear, *about)
    assert is_sealed(sealed)
    assert sealed.isascii()
    assert KEYRING.open(sealed, *about) == clear


def test_the_same_value_of_the_same_field_is_the_same_text_and_shows_nothing() -> None:
    sealed = KEYRING.seal(NUMBER, *FIELD)
    assert sealed == KEYRING.seal(NUMBER, *FIELD)
    assert sealed.startswith("enc:v1:old1:")
    assert "1234" not in sealed
    assert sealed != KEYRING.seal(NUMBER, "registry.household", "phone")
    assert sealed != KEYRING.seal(NUMBER[::-1], *FIELD)


@pytest.mark.parametrize("about", [("registry.person", "id_number"), ("registry.person",), ()])
def test_a_value_put_into_another_field_cannot_be_read(about: tuple[str, ...]) -> None:
    with pytest.raises(Unreadable, match="cannot be read: altered, or of another field") as told:
        KEYRING.open(KEYRING.seal(NUMBER, *FIELD), *about)
    assert told.value.told()["code"] == "altered"


def test_a_value_altered_anywhere_cannot_be_read() -> None:
    sealed = KEYRING.seal(NUMBER, *FIELD)
    start = len("enc:v1:old1:")
    for place in range(start, len(sealed)):
        other = "A" if sealed[place] != "A" else "B"
        altered = sealed[:place] + other + sealed[place + 1 :]
        try:
            assert KEYRING.open(altered, *FIELD) == NUMBER  # only bits that base64 does not use
            assert place == len(sealed) - 1
        except Unreadable:
            pass
    for altered in (sealed[:-2], sealed + "AAAA", "enc:v1:old1:", "enc:v1:old1:§§", "enc:v1:old1"):
        with pytest.raises(Unreadable, match="altered"):
            KEYRING.open(altered, *FIELD)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (KEYRING.seal(NUMBER, *FIELD), "cannot be read: key old1 missing"),
        ("enc:v1:a phone in clear 000:x", r"cannot be read: key \? missing"),
        ("enc:v1:", r"cannot be read: key \? missing"),
        ("enc:v2:new2:AAAA", "cannot be read: written by a newer version"),
    ],
)
def test_a_missing_key_is_named(value: str, why: str) -> None:
    with pytest.raises(Unreadable, match=f"^{why}$"):
        OTHER.open(value, *FIELD)


def test_after_a_rotation_the_new_key_closes_and_both_open() -> None:
    before, after = KEYRING.seal(NUMBER, *FIELD), ROTATED.seal(NUMBER, *FIELD)
    assert before != after
    assert after.startswith("enc:v1:new2:")
    assert ROTATED.open(before, *FIELD) == ROTATED.open(after, *FIELD) == NUMBER
    assert ROTATED.fingerprint(NUMBER) == KEYRING.fingerprint(NUMBER)
    assert OTHER.fingerprint(NUMBER) != KEYRING.fingerprint(NUMBER)


def test_what_was_kept_in_clear_is_read_as_it_is() -> None:
    assert KEYRING.open("000-1", *FIELD) == b"000-1"


class TestItsFile:
    def test_the_first_start_makes_one_for_its_owner_alone(self, tmp_path: Path) -> None:
        on = settings({}, data_dir=tmp_path / "data")
        first = keyring_of(on)
        path = tmp_path / "data" / protect.FILE
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [each.name for each in path.parent.iterdir()] == ["keyring"]
        path.chmod(0o644)
        assert keyring_of(on).open(first.seal(NUMBER, *FIELD), *FIELD) == NUMBER
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert ensure_text(on) == path.read_text("utf-8")

    def test_a_new_key_goes_in_front_and_the_others_stay(self, tmp_path: Path) -> None:
        path = tmp_path / "keyring"
        old = add_key(path)
        sealed = load(path).seal(NUMBER, *FIELD)
        new = add_key(path)
        assert load(path).ids == (new, old)
        assert load(path).open(sealed, *FIELD) == NUMBER
        assert path.read_text("utf-8").count("#") == 2  # the head once
        assert not list(tmp_path.glob("*.part"))

    def test_a_setting_goes_before_the_file(self, tmp_path: Path) -> None:
        given = settings({"HEARTHWATCH_KEYRING": TEXT}, data_dir=tmp_path)
        assert keyring_of(given).ids == ("old1",)
        assert not list(tmp_path.iterdir())
        two = f"# keys\n{line('new2', b'x' * 64)}, {TEXT} # the first"
        kept = tmp_path / "keys"
        kept.write_text(two, "utf-8")
        named = settings({"HEARTHWATCH_KEYRING_FILE": str(kept)}, data_dir=tmp_path)
        assert keyring_of(named).ids == ("new2", "old1")

    def test_deployed_there_must_be_one(self, tmp_path: Path) -> None:
        on = settings({}, data_dir=tmp_path).model_copy(update={"mode": "deployed"})
        with pytest.raises(WrongUse, match="HEARTHWATCH_KEYRING: found nothing"):
            keyring_of(on)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        "text", ["", "# none", "a:b", "old1", line("old1", b"short"), f"{TEXT} {TEXT}", ":AAAA"]
    )
    def test_what_is_no_keyring_is_told_without_what_it_is(self, text: str, tmp_path: Path) -> None:
        with pytest.raises(WrongUse, match="keys, one a line") as told:
            protect.read(text, "keyring")
        assert "AAAA" not in str(told.value)
        (tmp_path / "keyring").write_text(text, "utf-8")
        with pytest.raises(WrongUse):
            add_key(tmp_path / "keyring")
        assert (tmp_path / "keyring").read_text("utf-8") == text

    def test_it_stands_in_no_text_of_the_settings(self) -> None:
        given = settings({"HEARTHWATCH_KEYRING": TEXT})
        assert isinstance(given.keyring, SecretStr)
        assert TEXT not in repr(given)


def test_a_keyring_made_of_keys_keeps_their_order() -> None:
    assert Keyring({"b": bytes(64), "a": bytes(64)}).ids == ("b", "a")
