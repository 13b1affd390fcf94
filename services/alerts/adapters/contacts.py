"""The address behind a contact of the roster, opened when a message is written and kept nowhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from services.kernel.contracts.protected import CONTACT
from services.kernel.contracts.registry_types import DUTY, STAFF
from services.kernel.logging import get_logger
from services.kernel.protect import Keyring, Unreadable

_log: Final = get_logger(__name__)


def address_reader(keyring: Keyring) -> Callable[[str], str | None]:
    """Return what opens a contact, whether a turn's or an entry's own; None for one it cannot.

    Whoever cannot be addressed so is addressed by their id, as somebody without a contact.
    """

    def address(contact: str) -> str | None:
        why = ""
        for kind in (DUTY, STAFF):
            try:
                return keyring.open(contact, kind, CONTACT).decode()
            except Unreadable as exc:
                why = str(exc)
        _log.error("contact of the roster cannot be opened", reason=why)
        return None

    return address
