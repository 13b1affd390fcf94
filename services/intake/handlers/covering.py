"""What is kept of a refused item, encrypted whole: what was misspelt cannot be told from the rest.

A kept item holds `original`, `draft` and `fixed` covered, each for its own id; only who shows or
mends it opens it. One kept before there were keys stands in clear and is read as it is.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, Literal

import msgspec

from services.intake.domain.guarding import Guard
from services.intake.domain.item import Refused
from services.intake.domain.rows import Kept
from services.kernel.ids import derived

Part = Literal["original", "draft", "fixed"]
PARTS: Final[tuple[Part, ...]] = ("original", "draft", "fixed")
_ABOUT: Final = "intake.kept"
_MARK: Final = b"enc:v1:"


class Cover:
    """Covers and opens what is kept; `stable` names it by its bytes alone, as a replay needs it."""

    def __init__(self, guard: Guard, *, stable: bool) -> None:
        self.guard = guard
        self._stable = stable

    def kept_id(self, refused: Refused) -> str:
        """Return the id under which a refused item is kept: the same for the same bytes.

        It tells nothing of them to who has no key, except in a replay, whose digest names it.
        """
        digest = blake2b(refused.original, digest_size=16).digest()
        shown = digest if self._stable else self.guard.fingerprint(digest)
        return derived("kept", shown.hex(), refused.origin or "")

    def request(self, digest: bytes) -> str:
        """Return what is kept of a request's body, to know it again."""
        return self.guard.fingerprint(digest).hex()

    def requests(self, digest: bytes) -> list[str]:
        """Return what may have been kept of this body, under whichever key was the oldest then."""
        return [each.hex() for each in self.guard.fingerprints(digest)]

    def covered(self, kept: str, part: Part, body: bytes) -> bytes:
        """Return a part of a kept item as it is stored."""
        return self.guard.seal(body, _ABOUT, part, kept).encode()

    def opened(self, kept: Kept) -> Kept:
        """Return a kept item in clear, to be shown or mended and never stored.

        Raises:
            Unreadable: its key is missing, or somebody altered it.
        """
        found = {part: self._opened(kept, part) for part in PARTS}
        return msgspec.structs.replace(kept, **found)

    def _opened(self, kept: Kept, part: Part) -> bytes | None:
        body: bytes | None = getattr(kept, part)
        if body is None or not body.startswith(_MARK):
            return body
        return self.guard.open(body.decode("ascii", "replace"), _ABOUT, part, kept.id)
