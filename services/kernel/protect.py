"""The one door to cryptography: the keyring, its file, and values that are kept encrypted.

A keyring is text: a key a line, `<id>:<base64url of 64 bytes>`; `#` begins a comment. The first key
encrypts, every key decrypts. Encryption is AES-SIV without a nonce: the same value of the same
field gives the same text, so that equal facts stay equal, and a value put into another field, or
altered by a bit, cannot be opened.
"""

from __future__ import annotations

import os
import secrets
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from services.kernel.contracts.protected import is_sealed
from services.kernel.errors import Fault, HearthwatchError, WrongUse
from services.kernel.settings import PREFIX as VARIABLES
from services.kernel.settings import Settings

FILE: Final = "keyring"
"""Its name in the data folder."""
KEY_BYTES: Final = 64
"""AES-256 twice: once for the tag, once for the text (RFC 5297)."""
FINGERPRINT_BYTES: Final = 16
NEEDED_BY: Final = ("intake", "registry", "alerts")
"""The services that encrypt or open; the others pass on what they cannot read."""
_FORM: Final = "enc:v1:"
_HEAD: Final = """\
# Hearthwatch's keyring: the first key encrypts, every key decrypts. Lost keys cannot be made again:
# keep a copy apart from the backups (docs/runbook.md). `hearthwatch keys new` puts a key in front.
"""


class Unreadable(HearthwatchError):
    """A protected value that cannot be opened; tells why without telling what.

    code: key_missing, altered or newer. key: the id of the key it names.
    """

    def __init__(self, code: str, key: str, why: str) -> None:
        super().__init__(f"cannot be read: {why}")
        self.code = code
        self.key = key

    def told(self) -> dict[str, str]:
        """Return it as APIs tell it."""
        return {"code": self.code, "key": self.key, "told": str(self)}


class Keyring:
    """Keys by id, the one that encrypts first. Thread-safe; has at least one key."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self.ids = tuple(keys)
        self._ciphers = {name: AESSIV(key) for name, key in keys.items()}
        self._print_keys = [
            blake2b(b"hearthwatch.fingerprint", key=key).digest() for key in keys.values()
        ]

    def seal(self, clear: bytes, *about: str) -> str:
        """Return the text under which a value is kept; `about` names its type and field."""
        key = self.ids[0]
        kept = self._ciphers[key].encrypt(clear, _associated(about))
        return f"{_FORM}{key}:{urlsafe_b64encode(kept).decode().rstrip('=')}"

    def open(self, value: str, *about: str) -> bytes:
        """Return what a value says; one that was never protected is returned as it is.

        Raises:
            Unreadable: its key is not in the ring, it was altered, or it is another field's.
        """
        if not is_sealed(value):
            return value.encode()
        form, _, rest = value.removeprefix("enc:").partition(":")
        key, _, body = rest.partition(":")
        if form != "v1":
            raise Unreadable("newer", "", "written by a newer version")
        cipher = self._ciphers.get(key)
        if cipher is None:
            raise Unreadable("key_missing", _told(key), f"key {_told(key)} missing")
        try:
            return cipher.decrypt(_decoded(body), _associated(about))
        except (InvalidTag, ValueError) as exc:
            raise Unreadable("altered", key, "altered, or of another field") from exc

    def fingerprint(self, content: bytes) -> bytes:
        """Return 16 bytes that only equal content gives, and nobody without the ring can try out.

        Made with the oldest key, so that a new key in front changes none.
        """
        return self.fingerprints(content)[-1]

    def fingerprints(self, content: bytes) -> list[bytes]:
        """Return what equal content had under each key of the ring: the order may have changed."""
        return [
            blake2b(content, digest_size=FINGERPRINT_BYTES, key=key).digest()
            for key in self._print_keys
        ]


def keyring_of(settings: Settings) -> Keyring:
    """Return the keyring that the settings give; embedded, one is made in the data folder.

    Raises:
        WrongUse: deployed without one, or it cannot be read.
    """
    if not settings.keyring.get_secret_value() and settings.mode == "deployed":
        raise WrongUse(
            Fault(
                where=f"{VARIABLES}KEYRING",
                expected="the keyring that keeps ID numbers, phones and key holders encrypted, the "
                "same for intake, registry and alerts",
                found="nothing",
                remedy=f"make one with `hearthwatch keys new --file FILE` and set "
                f"{VARIABLES}KEYRING_FILE to its path",
                code="setting",
            )
        )
    return read(ensure_text(settings), f"{VARIABLES}KEYRING")


def ensure_text(settings: Settings) -> str:
    """Return the text of the keyring of one machine: the settings', else that of the data folder.

    One is made there if there is none; its file is made readable by its owner alone.
    """
    if text := settings.keyring.get_secret_value():
        return text
    path = settings.data_dir / FILE
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        add_key(path)
    path.chmod(0o600)
    load(path)
    return path.read_text("utf-8")


def load(path: Path) -> Keyring:
    """Return the keyring of a file.

    Raises:
        WrongUse: it cannot be read or holds no keys.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise WrongUse(_fault(path.name, type(exc).__name__)) from exc
    return read(text, path.name)


def read(text: str, where: str) -> Keyring:
    """Return the keyring of a text; raises WrongUse naming `where`, and nothing of the text."""
    lines = [line.partition("#")[0] for line in text.splitlines()]
    keys: dict[str, bytes] = {}
    for number, word in enumerate(" ".join(lines).replace(",", " ").split(), 1):
        name, _, secret = word.partition(":")
        try:
            key = _decoded(secret)
        except ValueError:
            key = b""
        if not name.isalnum() or len(key) != KEY_BYTES or name in keys:
            raise WrongUse(_fault(where, f"something else as key number {number}"))
        keys[name] = key
    if not keys:
        raise WrongUse(_fault(where, "no key"))
    return Keyring(keys)


def add_key(path: Path) -> str:
    """Put a new key in front of a file's, which is made if need be; return the key's id.

    Raises:
        WrongUse: the file is no keyring.
    """
    before = ""
    if path.exists():
        load(path)
        before = path.read_text("utf-8").removeprefix(_HEAD)
    name, key = secrets.token_hex(4), secrets.token_bytes(KEY_BYTES)
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(f"{_HEAD}{name}:{urlsafe_b64encode(key).decode()}\n{before}")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # else a power cut could take the key from what it has encrypted since
    finally:
        os.close(folder)
    return name


def _associated(about: tuple[str, ...]) -> list[bytes]:
    return [part.encode() for part in about]


def _decoded(text: str) -> bytes:
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        return b64decode(padded, altchars=b"-_", validate=True)
    except (NotBase64, UnicodeEncodeError) as exc:
        raise ValueError("no base64") from exc


def _told(key: str) -> str:
    """Return a key's id, or a mark where something else stands in its place."""
    return key if key.isalnum() and len(key) <= 40 else "?"  # noqa: PLR2004 - of ours they have 8


def _fault(where: str, found: str) -> Fault:
    return Fault(
        where=where,
        expected="keys, one a line: <id>:<base64url of 64 bytes>",
        found=found,
        remedy="put the right file back; a new one opens nothing that is there (docs/runbook.md)",
        code="setting",
    )
