"""Protected fields of a payload: encrypted after the check, before anything else sees them."""

from __future__ import annotations

from typing import Any, Final, Protocol

import msgspec

from services.intake.domain.types import EventType
from services.kernel.contracts.protected import is_sealed

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
_encode: Final = msgspec.json.Encoder().encode


class Guard(Protocol):
    """Encrypts and opens; `services.kernel.protect.Keyring` says what each does."""

    def seal(self, clear: bytes, *about: str) -> str:
        """Return the text under which a value is kept."""
        ...

    def open(self, value: str, *about: str) -> bytes:
        """Return what a kept value says; raises Unreadable."""
        ...

    def fingerprint(self, content: bytes) -> bytes:
        """Return 16 bytes that only equal content gives."""
        ...

    def fingerprints(self, content: bytes) -> list[bytes]:
        """Return those that equal content may have had, the one of now last."""
        ...


def sealed(kind: EventType, data: bytes, guard: Guard) -> bytes | None:
    """Return a payload with its protected fields encrypted, or None when one came encrypted.

    An encrypted value from outside is never taken: it would show one person's number under another
    one's name, to whoever may read the latter.
    """
    said = _decode(data)
    for name in kind.protected:
        value = said.get(name)
        if is_sealed(value):
            return None
        if value:
            said[name] = guard.seal(value.encode(), kind.name, name)
    return _encode(said)
