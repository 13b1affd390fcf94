"""Keyrings of tests: keys that anybody can read, for numbers that nobody has."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Final

from services.kernel.protect import KEY_BYTES, Keyring

_OLD: Final = bytes(KEY_BYTES)
_NEW: Final = bytes(range(KEY_BYTES))
KEYRING: Final = Keyring({"old1": _OLD})
ROTATED: Final = Keyring({"new2": _NEW, "old1": _OLD})
OTHER: Final = Keyring({"new2": _NEW})


def line(name: str, key: bytes = _OLD) -> str:
    """Return a key as it stands in a file."""
    return f"{name}:{urlsafe_b64encode(key).decode()}"


TEXT: Final = line("old1")
"""`KEYRING` as a setting."""
